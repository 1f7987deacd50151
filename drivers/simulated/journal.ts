/** Everything that was asked of the world and everything that happened in it, in one order. Checkers read this and nothing else. */
import type { FenceEvidence, StartPermit } from '../../domain/evidence';
import type { Fault } from '../../domain/faults';
import type { FenceDeviceId, HostId, PoolId, VmId } from '../../domain/ids';
import type { Timestamp } from '../../domain/observations';
import type { AlertRecord } from '../../domain/records';

export type PortName =
  | 'fencing'
  | 'hypervisor'
  | 'hostCommands'
  | 'storageLocks'
  | 'storageAccess'
  | 'volumes'
  | 'volumeMoves'
  | 'survey'
  | 'heartbeats'
  | 'guestRepair'
  | 'notifier';

/** Who made it happen: a port call of ours, a person at the host, the host's own boot, or the world's beginning. */
export type Cause = 'port' | 'hand' | 'autostart' | 'beginning' | 'migration';

export type Effect =
  | { readonly effect: 'power-off'; readonly hostId: HostId; readonly by: 'hand' | FenceDeviceId }
  | {
      readonly effect: 'power-on';
      readonly hostId: HostId;
      readonly bootId: string;
      readonly by: 'hand' | FenceDeviceId;
    }
  | { readonly effect: 'host-changed'; readonly hostId: HostId; readonly to: string }
  | {
      readonly effect: 'process-started';
      readonly vmId: VmId;
      readonly hostId: HostId;
      readonly boot: string;
      readonly by: Cause;
      readonly permit: StartPermit | undefined;
    }
  | {
      readonly effect: 'process-ended';
      readonly vmId: VmId;
      readonly hostId: HostId;
      readonly boot: string;
      readonly why: string;
    }
  | {
      readonly effect: 'defined';
      readonly vmId: VmId;
      readonly hostId: HostId;
      readonly by: Cause;
      readonly version: number | undefined;
    }
  | {
      readonly effect: 'definition-removed';
      readonly vmId: VmId;
      readonly hostId: HostId;
      readonly by: Cause;
    }
  | { readonly effect: 'autostart-disabled'; readonly vmId: VmId; readonly hostId: HostId }
  | {
      readonly effect: 'lock-released';
      readonly poolId: PoolId;
      readonly path: string;
      readonly owner: string;
      /** Whether the owner was running at that moment. The port cannot know; the world does. */
      readonly ownerAlive: boolean;
      readonly evidence: FenceEvidence;
    }
  | {
      readonly effect: 'access-cut' | 'access-restored';
      readonly poolId: PoolId;
      readonly hostId: HostId;
    }
  | {
      readonly effect: 'storage-activated' | 'storage-deactivated';
      readonly path: string;
      readonly hostId: HostId;
      readonly by: string;
    }
  | {
      readonly effect: 'move-begun' | 'move-ended';
      readonly vmId: VmId;
      readonly attempt: string;
      readonly direction: 'there' | 'back';
      readonly says: string;
    }
  | {
      readonly effect: 'disk-switched';
      readonly vmId: VmId;
      readonly from: string;
      readonly to: string;
      readonly attempt: string;
    }
  | { readonly effect: 'disk-made' | 'disk-removed'; readonly path: string; readonly by: string }
  | {
      readonly effect: 'disk-kept' | 'disk-mended' | 'disk-put-back' | 'kept-dropped';
      readonly path: string;
      readonly hostId: HostId;
      readonly by: string;
    }
  | { readonly effect: 'alert-delivered'; readonly alert: AlertRecord };

interface Stamped {
  /** Counts up by one over calls, answers and effects alike: `a.seq < b.seq` means a came first. */
  readonly seq: number;
  readonly at: Timestamp;
}

interface OfCall extends Stamped {
  readonly callId: number;
  readonly port: PortName;
  readonly call: string;
  readonly target: string;
}

export type JournalEntry =
  | (OfCall & { readonly kind: 'call'; readonly args: readonly unknown[] })
  | (OfCall & { readonly kind: 'answer'; readonly answer: unknown })
  | (OfCall & { readonly kind: 'fault'; readonly fault: Fault | { readonly sentence: string } })
  | (Stamped & { readonly kind: 'effect' } & Effect);

type Unstamped<T> = T extends unknown ? Omit<T, 'seq' | 'at'> : never;

export class Journal {
  private readonly entries: JournalEntry[] = [];
  private seq = 0;

  constructor(
    private readonly detail: 'full' | 'effects',
    private readonly now: () => Timestamp,
    private readonly heard: (effect: Effect) => void = () => undefined,
  ) {}

  get lastSeq(): number {
    return this.seq;
  }

  /** Returns the entry's place in the one order, whether it was kept or not. */
  write(entry: Unstamped<JournalEntry>): number {
    this.seq += 1;
    if (entry.kind === 'effect' || this.detail === 'full')
      this.entries.push({ ...entry, seq: this.seq, at: this.now() });
    return this.seq;
  }

  effect(effect: Effect): number {
    const seq = this.write({ kind: 'effect', ...effect });
    this.heard(effect);
    return seq;
  }

  since(seq = 0): readonly JournalEntry[] {
    return seq === 0 ? this.entries : this.entries.filter((e) => e.seq > seq);
  }
}
