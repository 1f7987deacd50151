import type { HostId, VmId } from '../../domain/ids';
import type { GuestProcess } from './world-state';

/** The processes that exist now, found by host, VM or disk without a search: worlds of ten thousand guests are benched. */
export class ProcessTable {
  private readonly byHost = new Map<HostId, Map<VmId, GuestProcess>>();
  private readonly byVm = new Map<VmId, Set<GuestProcess>>();
  private readonly byPath = new Map<string, Set<GuestProcess>>();
  private readonly all = new Set<GuestProcess>();
  private readonly memoryMiB = new Map<HostId, number>();

  add(process: GuestProcess): void {
    this.all.add(process);
    this.count(process.hostId, process.definition.memoryMiB);
    entry(this.byHost, process.hostId, () => new Map<VmId, GuestProcess>()).set(process.vmId, process);
    entry(this.byVm, process.vmId, () => new Set<GuestProcess>()).add(process);
    for (const { path } of process.definition.disks)
      entry(this.byPath, path, () => new Set<GuestProcess>()).add(process);
  }

  /** False when it was not there any more. */
  remove(process: GuestProcess): boolean {
    if (!this.all.delete(process)) return false;
    this.count(process.hostId, -process.definition.memoryMiB);
    this.byHost.get(process.hostId)?.delete(process.vmId);
    this.byVm.get(process.vmId)?.delete(process);
    for (const { path } of process.definition.disks) this.byPath.get(path)?.delete(process);
    return true;
  }

  memoryOn(host: HostId): number {
    return this.memoryMiB.get(host) ?? 0;
  }

  private count(host: HostId, memoryMiB: number): void {
    this.memoryMiB.set(host, this.memoryOn(host) + memoryMiB);
  }

  everywhere(): GuestProcess[] {
    return [...this.all];
  }

  on(host: HostId): GuestProcess[] {
    return [...(this.byHost.get(host)?.values() ?? [])];
  }

  of(vm: VmId): GuestProcess[] {
    return [...(this.byVm.get(vm) ?? [])];
  }

  at(host: HostId, vm: VmId): GuestProcess | undefined {
    return this.byHost.get(host)?.get(vm);
  }

  /** Those that have any of this one's disks open, without itself. */
  besides(process: GuestProcess): GuestProcess[] {
    const sharing = process.definition.disks.flatMap(({ path }) => [...(this.byPath.get(path) ?? [])]);
    return [...new Set(sharing)].filter((p) => p !== process);
  }
}

function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
