/** One command's view of an installation. Nothing is connected before it is asked for. */
import type { DeliveriesPort, FrontDoorPort, InventoryPort } from '../../activities/ports';
import type { Fleet } from '../../domain/fleet';
import { Administration } from '../administration';
import { Refusal } from '../errors';
import { RecoveryClient } from '../recovery-client';
import { connectTemporal, type TemporalSession } from '../temporal';
import type { Io } from './io';

/** What commands read; of writes, tokens, the audit trail and acknowledgements. Acts on the world go through Temporal. */
export type Inventory = Pick<
  InventoryPort,
  | 'host'
  | 'hosts'
  | 'vm'
  | 'vms'
  | 'incident'
  | 'incidents'
  | 'timeline'
  | 'attachTrigger'
  | 'alerts'
  | 'evidenceFor'
  | 'definition'
  | 'sightings'
  | 'readiness'
  | 'switches'
  | 'fleetClaim'
> &
  Pick<FrontDoorPort, 'createToken' | 'tokens' | 'revokeToken' | 'noteAudit' | 'noteAuditAnswer'> &
  Pick<DeliveriesPort, 'acknowledgeAlerts' | 'owedDeliveries'>;

export interface Session {
  readonly configPath: string;
  readonly fleet: Fleet;
  readonly inventory: Inventory;
  /** Changes by hand, each of them audited. */
  readonly administration: Administration;
  temporal(): Promise<TemporalSession>;
  recoveries(): Promise<RecoveryClient>;
  close(): Promise<void>;
}

export type OpenSession = (config: string | undefined, io: Io) => Promise<Session>;

const noConfig = (): Refusal =>
  new Refusal(
    'usage',
    'NO_CONFIG',
    'There is no config: none is named by --config or VMEDIC_CONFIG, there is no ./vmedic.yaml, and no lab runs',
    'name one by --config FILE, or try a lab on this machine: vmedic lab up',
  );

export const openSession: OpenSession = async (config, io) => {
  const access = await import('../../workers/access');
  const path = await configPath(config, io);
  const installation = await access.openInstallation(path, io.env);
  const url = access.inventoryUrl(installation, io.env);
  if (url === undefined) throw notRunning(path);
  const inventory = access.openReader(url);
  let connected: Promise<TemporalSession> | undefined;
  const temporal = (): Promise<TemporalSession> => {
    const settings = access.temporalSettings(installation, io.env);
    if (settings === undefined) throw notRunning(path);
    connected ??= connectTemporal(settings);
    return connected;
  };
  return {
    configPath: installation.configPath,
    fleet: installation.fleet,
    inventory,
    administration: new Administration(inventory, installation.fleet),
    temporal,
    async recoveries() {
      const { client, settings } = await temporal();
      return new RecoveryClient({ client, inventory, fleet: installation.fleet, address: settings.address });
    },
    async close() {
      // A connection that was never made needs no closing; why it failed was told already.
      const session = await connected?.catch(() => undefined);
      await Promise.all([session?.close(), inventory.close()]);
    },
  };
};

/** Where the config is; refused when there is none. */
export async function configPath(flag: string | undefined, io: Io): Promise<string> {
  const { findConfig } = await import('../../workers/access');
  const { defaultLabFolder } = await import('../../lab/folder');
  const path = findConfig(flag, io.env, io.cwd, defaultLabFolder(io.env));
  if (path === undefined) throw noConfig();
  return path;
}

const notRunning = (configPath: string): Refusal =>
  new Refusal(
    'unreachable',
    'NOT_RUNNING',
    `No VMedic runs for ${configPath}, and it names no Temporal server and inventory of its own`,
    `vmedic up --config ${configPath}`,
  );
