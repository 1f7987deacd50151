/** What the API works with: handed in, so that it can be composed, and tested, without a process. */
import type { FastifyBaseLogger } from 'fastify';
import type { DeliveriesPort, FrontDoorPort, InventoryPort } from '../../activities/ports';
import type { Role } from '../../domain/access';
import type { Fleet } from '../../domain/fleet';
import type { SignedReport } from '../report';
import { RecoveryClient } from '../recovery-client';
import type { TemporalSession } from '../temporal';

export type ApiInventory = Pick<
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
  | 'raiseAlert'
  | 'evidence'
  | 'evidenceFor'
  | 'definition'
  | 'sightings'
  | 'deviceHealth'
  | 'switches'
  | 'setSwitch'
  | 'fleetClaim'
  | 'readiness'
  | 'updateHost'
  | 'updateVm'
> &
  FrontDoorPort &
  Pick<DeliveriesPort, 'acknowledgeAlerts' | 'owedDeliveries' | 'outcomeFigures'> & { ping(): Promise<void> };

/** One request and what it leads to, as a trace; `note` takes the status of its answer. */
export type TraceRequest = <T>(
  request: {
    readonly method: string;
    readonly route: string;
    readonly requestId: string;
    /** The caller's own trace, as its header says. */
    readonly parent: unknown;
  },
  answer: (note: (status: number) => void) => Promise<T>,
) => Promise<T>;

export interface HttpDoor {
  readonly fleet: Fleet;
  readonly inventory: ApiInventory;
  /** Connects at the first call, and again after a call that failed. */
  readonly temporal: () => Promise<TemporalSession>;
  readonly taskQueue?: string;
  readonly log: FastifyBaseLogger;
  /** Senders of Standard Webhooks; a secret is read at each use, so that correcting its file is enough. */
  readonly senders: readonly { readonly name: string; readonly secret: () => string }[];
  /** Signs an incident's report; undefined where this installation has no key. */
  readonly sign: ((incident: string) => Promise<SignedReport>) | undefined;
  readonly version: string;
  /** Left out where nothing is traced. */
  readonly trace?: TraceRequest;
}

/** Who asks, as far as is known. */
export interface Caller {
  /** The token's name; a webhook's sender. */
  readonly name: string;
  /** Stable while the name may be given to another token: idempotency keys belong to it. */
  readonly id: string;
  readonly role: Role;
}

/** How long a start may take before Temporal counts as not answering. */
const startMs = 15_000;

/** Does one thing with the recovery client, and gives up in time. */
export async function withRecoveries<T>(
  door: HttpDoor,
  work: (recoveries: RecoveryClient) => Promise<T>,
): Promise<T> {
  const { client, settings } = await door.temporal();
  const recoveries = new RecoveryClient({
    client,
    inventory: door.inventory,
    fleet: door.fleet,
    address: settings.address,
    ...(door.taskQueue !== undefined && { taskQueue: door.taskQueue }),
  });
  return client.withDeadline(Date.now() + startMs, () => work(recoveries));
}
