import type { KeptDisk, MendedFileSystem, RepairOrder } from '../../domain/guest-repair';
import type { HostId } from '../../domain/ids';

/** What will be kept and where; or every reason why not, all at once. */
export type RepairPreflight =
  | { readonly kind: 'ready'; readonly kept: readonly KeptDisk[] }
  | { readonly kind: 'refused'; readonly why: readonly string[] };

/**
 * Work on the file systems inside a stopped VM's disks, on the host that it ran on. Theory of operation: first each disk is kept as it is; only then
 * anything writes to it; and what was kept is put back whole. The file systems are a guest's own and may be made to attack whoever mounts them, so
 * they are opened within a small virtual machine made for it, never by the host's kernel. A journal is replayed or left as it is; it is never thrown
 * away (`xfs_repair -L`).
 *
 * Every call may be repeated with the same order, and finds what an earlier one has done: one whose caller went away may still be at work there, and
 * is waited for. None touches a disk that anybody has open. Faults: `REPAIR_FAILED`; `HOST_COMMAND_FAILED` and `HYPERVISOR_BUSY` when it could not be
 * asked.
 */
export interface GuestRepairPort {
  /** Reads only, also of a VM that runs: whether each disk can be kept there, with room for it, and the tools are there. */
  preflight(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<RepairPreflight>;
  /** Returns once every disk was kept and that was read back. */
  keep(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<void>;
  /** Replays journals, checks, and mends what a file system's own tool mends without a question. Refused for a disk that was not kept. */
  mend(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<MendedFileSystem[]>;
  /** Puts what was kept back in its place; returns once that was read back. Refused where it is not there and was not put back. */
  goBack(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<void>;
  /** Removes what this order has kept of disks that nothing has written to since. A disk that was written to keeps it. */
  drop(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<void>;
}
