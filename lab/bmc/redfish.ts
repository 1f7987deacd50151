import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { labProgram } from '../lab-file';
import { runOrThrow } from '../run';
import { Bmc, type BmcPlace } from './bmc';

/** What `redfish-server.ts` reads when it starts. */
export interface RedfishSettings {
  readonly port: number;
  readonly address: string;
  readonly username: string;
  readonly passwordFile: string;
  readonly faultsFile: string;
  /** The host's name below /redfish/v1/Systems. */
  readonly system: string;
  readonly keyFile: string;
  readonly certificateFile: string;
  /** Program and arguments; `power`, `on`, `off` or `reset` and the host's folder are added. */
  readonly powerSwitch: string;
  readonly hostFolder: string;
}

export class RedfishBmc extends Bmc {
  constructor(place: BmcPlace) {
    super('redfish', place);
  }

  /** What `systems_uri` of fence_redfish has to be: without it the agent takes whatever system comes last. */
  get systemsUri(): string {
    return `/redfish/v1/Systems/${this.place.host}`;
  }

  protected prepare(): void {
    const settings: RedfishSettings = {
      port: this.port,
      address: this.address,
      username: this.username,
      passwordFile: this.passwordFile,
      faultsFile: join(this.folder, 'faults'),
      system: this.place.host,
      keyFile: join(this.place.lab, 'tls/key.pem'),
      certificateFile: join(this.place.lab, 'tls/certificate.pem'),
      powerSwitch: join(this.place.lab, 'host'),
      hostFolder: this.hostFolder,
    };
    writeFileSync(this.settingsFile, JSON.stringify(settings, undefined, 2));
  }

  protected command(): readonly [string, ...string[]] {
    return [process.execPath, labProgram('bmc/redfish-server.js'), this.settingsFile];
  }

  protected answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, this.address);
      socket.once('error', () => resolve(false));
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
    });
  }

  private get settingsFile(): string {
    return join(this.folder, 'settings.json');
  }
}

/** A key and a certificate for the BMCs of one lab, signed by itself, as real BMCs come out of the box. */
export async function makeCertificate(lab: string): Promise<void> {
  const at = (name: string): string => join(lab, 'tls', name);
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    at('key.pem'),
  ];
  const subject = ['-subj', '/CN=lab-bmc', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '365'];
  await runOrThrow('openssl', ['req', '-x509', ...key, ...subject, '-out', at('certificate.pem')], {
    timeoutMs: 20_000,
  });
}
