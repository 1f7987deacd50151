import type { ClusterMode } from '../../domain/fleet';
import type { HostId, IncidentId, VmId } from '../../domain/ids';

/** What the watch asks for, and in which mode: `observe` rehearses, `approve` opens the incident and waits for a person's yes. */
export interface RecoveryOrder {
  readonly reason: string;
  readonly mode: ClusterMode;
  /** Names this one failure, so that it is rehearsed once however often it is seen. */
  readonly occasion: string;
}

/**
 * What became of it. `under-way`: an incident is open, now or already. `over`: this very failure was handled and is closed. `busy`: other work
 * holds the ID. `rehearsed`: what a real run would come to, now or when it was rehearsed before: whoever asked then may not have lived to tell.
 */
export type RecoveryAnswer =
  | { readonly kind: 'under-way' | 'over'; readonly incidentId: IncidentId }
  | { readonly kind: 'busy'; readonly why: string }
  | { readonly kind: 'rehearsed'; readonly sentence: string };

/** The one front door, as the watch uses it: the server refuses the second of two, not the asker. Idempotent. */
export interface RecoveriesPort {
  recoverHost(host: HostId, order: RecoveryOrder): Promise<RecoveryAnswer>;
  /** A VM that is missing: grace first, then a proof that it runs nowhere, then its start. */
  restartMissingVm(vm: VmId, order: RecoveryOrder & { readonly graceMs: number }): Promise<RecoveryAnswer>;
}
