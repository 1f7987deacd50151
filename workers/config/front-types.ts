/** What an operator writes about the front door: the API, who is told, and how long things are kept. */
import type { DurationText, SecretReference } from './types';

export interface ApiConfig {
  /** Address and port. Left out: loopback, on the usual port or, where that is taken, another. */
  listen?: string | undefined;
  tls?: { certificate: SecretReference; key: SecretReference } | undefined;
  /** Senders of Standard Webhooks, each with the secret that it signs with. */
  webhooks?: { name: string; secret: SecretReference }[] | undefined;
}

export type NotifyConfig =
  | { driver: 'log' }
  | {
      driver: 'alertmanager';
      url: string;
      /** Sent as a bearer token, where something that asks for one stands in front of Alertmanager. */
      token?: SecretReference | undefined;
    }
  | { driver: 'webhook'; name: string; url: string; secret: SecretReference };

export interface AlertsConfig {
  /** A critical alert that nobody acknowledged is told again after this long. */
  pageAgain?: DurationText | undefined;
  /** How often Alertmanager hears that VMedic is alive, and what is wrong as a whole. */
  heartbeat?: DurationText | undefined;
}
