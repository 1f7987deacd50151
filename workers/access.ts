/** What a command line, an API server or a worker needs of one installation: the config, and where Temporal and the inventory are. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { settingsOfEnvironment, type TemporalSettings } from '../client/temporal';
import type { Fleet } from '../domain/fleet';
import { type OpenInventory, openInventory } from '../drivers/postgres';
import {
  ConfigRefused,
  fleetOf,
  isSecretReference,
  loadConfig,
  secretOrThrow,
  type VmedicConfig,
} from './config';
import { isSupervised, readRuntime, type RuntimeFile } from './embedded/runtime-file';
import { vmedicHome } from './home';

export interface Installation {
  readonly configPath: string;
  readonly config: VmedicConfig;
  readonly fleet: Fleet;
  readonly stateDir: string;
  /** The embedded system of this config, if one was ever started. */
  readonly runtime: RuntimeFile | undefined;
}

/** `--config`, else `VMEDIC_CONFIG`, else `./vmedic.yaml`, else the lab's. The last two only when they exist. */
export function findConfig(
  flag: string | undefined,
  env: NodeJS.ProcessEnv,
  cwd: string,
  labFolder: string,
): string | undefined {
  if (flag !== undefined) return resolve(cwd, flag);
  if (env['VMEDIC_CONFIG']) return resolve(cwd, env['VMEDIC_CONFIG']);
  return [join(cwd, 'vmedic.yaml'), join(labFolder, 'vmedic.yaml')].find((path) => existsSync(path));
}

/** Where the embedded system of this config keeps its state. */
export function stateDirOf(config: VmedicConfig, flag: string | undefined, env: NodeJS.ProcessEnv): string {
  return resolve(flag ?? env['VMEDIC_STATE_DIR'] ?? config.stateDir ?? join(vmedicHome(env), 'system'));
}

/**
 * Reads the config and looks for its embedded system.
 *
 * @throws ConfigRefused with every problem of the file.
 */
export async function openInstallation(
  configPath: string,
  env: NodeJS.ProcessEnv,
  stateDirFlag?: string,
): Promise<Installation> {
  const loaded = await loadConfig(configPath, { env });
  if (!loaded.ok) throw new ConfigRefused(loaded.problems);
  const stateDir = stateDirOf(loaded.config, stateDirFlag, env);
  const runtime = readRuntime(stateDir);
  return {
    configPath: loaded.path,
    config: loaded.config,
    fleet: fleetOf(loaded.config),
    stateDir,
    // Another config's system in the same folder is not this one's.
    runtime: runtime?.configPath === loaded.path ? runtime : undefined,
  };
}

/** The environment's server, else the config's, else the embedded one; undefined when there is none of them. */
export function temporalSettings(from: Installation, env: NodeJS.ProcessEnv): TemporalSettings | undefined {
  const fromEnvironment = settingsOfEnvironment(env);
  if (fromEnvironment !== undefined) return fromEnvironment;
  const { temporal } = from.config;
  if (temporal?.address !== undefined) return settingsOfConfig(from, temporal.address, env);
  if (from.runtime === undefined) return undefined;
  const { address, namespace, uiUrl } = from.runtime.temporal;
  return { address, namespace, ...(uiUrl !== undefined && { uiUrl }) };
}

function settingsOfConfig(from: Installation, address: string, env: NodeJS.ProcessEnv): TemporalSettings {
  const { namespace, apiKey, tls } = from.config.temporal ?? {};
  const secret = (reference: string): string => secretOrThrow(reference, dirname(from.configPath), env);
  const pem = (reference: string): Buffer => Buffer.from(secret(reference));
  return {
    address,
    namespace: namespace ?? 'default',
    ...(apiKey !== undefined && { apiKey: secret(apiKey) }),
    ...(tls !== undefined && {
      tls: {
        ...(tls.serverName !== undefined && { serverNameOverride: tls.serverName }),
        ...(tls.ca !== undefined && { serverRootCACertificate: pem(tls.ca) }),
        ...(tls.certificate !== undefined &&
          tls.key !== undefined && { clientCertPair: { crt: pem(tls.certificate), key: pem(tls.key) } }),
      },
    }),
  };
}

/** `VMEDIC_INVENTORY_URL`, else the config's, else the embedded one's; undefined when there is none of them. */
export function inventoryUrl(from: Installation, env: NodeJS.ProcessEnv): string | undefined {
  if (env['VMEDIC_INVENTORY_URL']) return env['VMEDIC_INVENTORY_URL'];
  const declared = from.config.inventory?.url;
  if (declared === undefined) return from.runtime?.inventory.url;
  return isSecretReference(declared) ? secretOrThrow(declared, dirname(from.configPath), env) : declared;
}

/** An inventory for reading, with few connections: commands are short. */
export const openReader = (url: string): OpenInventory => openInventory({ url, poolMax: 2 });

export { ConfigRefused, isSupervised };
