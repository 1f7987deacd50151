/** The verdict table for a disk on libvirt hosts: facts first, then a pure judgement. Each row was met on real hosts. */
import { fault } from '../../domain/faults';
import { type PoolOf, shapeOf } from './domain-xml';
import { compareMs, type MoveReach, type Parts, partsOf } from './move-reach';
import type { BeforeImage, DiskFound, Leftover, MoveVerdict, VmFound } from '../../domain/volume-move';
import type { DiskState } from './disk-state';
import { type FileSight, probe, type SeenVm } from './vm-disks';
import type { MoveKnown } from '../../activities/ports';
import type { HostId } from '../../domain/ids';
import { compareFiles } from './copy-scripts';

export interface MoveFacts {
  readonly seen: SeenVm;
  readonly source: FileSight;
  readonly target: FileSight;
  /** A copy of a stopped VM's disk is being made. */
  readonly copying: boolean;
  /** Something of an unfinished copy lies beside the target. */
  readonly remains: boolean;
}

export function judgeMove(before: BeforeImage, places: Parts, facts: MoveFacts, poolOf: PoolOf): MoveVerdict {
  const { seen, source, target } = facts;
  const vm = before.name;
  const unknown = (detail: string): MoveVerdict => ({
    kind: 'UNKNOWN',
    fault: fault('MOVE_NOT_KNOWN', { vm, detail }),
  });
  const at = (disks: readonly DiskState[] | undefined): DiskState | undefined =>
    disks?.find((d) => d.device === places.device);
  const [live, next] = [at(seen.live), at(seen.next)];
  if (next === undefined || (seen.live !== undefined && live === undefined))
    return unknown(`${places.device} is not attached any more`);
  const mirror = seen.live?.find((d) => d.mirror !== undefined)?.mirror;
  if (mirror !== undefined) return { kind: 'IN_PROGRESS', detail: `it is being copied to ${mirror.path}` };
  if (facts.copying) return { kind: 'IN_PROGRESS', detail: `it is being copied to ${places.target}` };
  const known = [places.source, places.target];
  const used = [live?.path, next.path].filter((p) => p !== undefined);
  const strange = used.find((p) => !known.includes(p));
  if (strange !== undefined) return unknown(`it is at ${strange}, where nobody asked for it`);
  const found = foundIn(seen, poolOf);
  const sightOf = (path: string): FileSight => (path === places.source ? source : target);
  const leftovers = leftoversOf(before, places, facts, used, poolOf);
  if (live !== undefined) {
    if (sightOf(live.path) !== 'held')
      return unknown(
        `it runs, and nobody has ${live.path} open (${sightOf(live.path)}): keep it running, copy its disk elsewhere`,
      );
    if (live.path !== next.path)
      return {
        kind: 'PARTIAL',
        ...found,
        leftovers,
        detail: `it runs on ${live.path} and would start from ${next.path}`,
      };
    return { kind: live.path === places.target ? 'MOVED' : 'NOT_MOVED', ...found, leftovers };
  }
  if (sightOf(next.path) === 'absent')
    return { kind: 'DISK_MISSING', paths: [next.path], detail: `${seen.hostId} names it` };
  if (sightOf(next.path) === 'held')
    return unknown(`it does not run on ${seen.hostId}, and somebody has ${next.path} open`);
  return { kind: next.path === places.target ? 'MOVED' : 'NOT_MOVED', ...found, leftovers };
}

function foundIn(seen: SeenVm, poolOf: PoolOf): { disks: DiskFound[]; vm: VmFound } {
  const shape = shapeOf(seen.text, poolOf);
  const disks = shape.disks.map((d) => ({
    disk: d.device,
    at: { poolId: d.poolId, path: d.path, format: d.format },
  }));
  return { disks, vm: { hostId: seen.hostId, text: seen.text, shape } };
}

function leftoversOf(
  before: BeforeImage,
  places: Parts,
  { source, target, remains }: MoveFacts,
  used: readonly string[],
  poolOf: PoolOf,
): Leftover[] {
  const left: Leftover[] = [];
  const wanted = before.disks.find((d) => d.device === places.device);
  if (!used.includes(places.source) && source !== 'absent')
    left.push({ poolId: wanted?.at.poolId, path: places.source, what: 'source' });
  if (!used.includes(places.target) && (target !== 'absent' || remains))
    left.push({ poolId: poolOf(places.target), path: places.target, what: 'copy' });
  return left;
}

export async function readVerdict(
  reach: MoveReach,
  before: BeforeImage,
  known: MoveKnown,
  signal: AbortSignal,
): Promise<MoveVerdict> {
  const places = partsOf(before);
  const off = known.proofs.map((p) => p.hostId);
  const all = await reach.everywhere(places.hostId, places.vmId, off, signal);
  const running = all.filter((s) => s.live !== undefined);
  if (running.length > 1) return notKnown(before, `it runs on ${running.map((s) => s.hostId).join(' and ')}`);
  const seen =
    running[0] ?? all.find((s) => s.hostId === places.hostId) ?? (all.length === 1 ? all[0] : undefined);
  if (seen === undefined && off.includes(places.hostId)) return ofDeadHost(reach, before, known, off, signal);
  if (seen === undefined && all.length > 0)
    return notKnown(
      before,
      `it is defined on ${all.map((s) => s.hostId).join(' and ')} and not on ${places.hostId}`,
    );
  if (seen === undefined)
    return {
      kind: 'VM_MISSING',
      paths: before.disks.map((d) => d.at.path),
      detail: 'every host of its cluster was asked, and none lists it',
    };
  const host = seen.hostId;
  const [source, target] = [
    await probe(reach.run, host, places.source, places.format, signal),
    await probe(reach.run, host, places.target, places.format, signal),
  ];
  const [state] = await reach.copyState(host, places.target, signal);
  const facts = {
    seen,
    source,
    target,
    copying: state === 'running',
    remains: state === 'failed' || state === 'ended',
  };
  return judgeMove(before, places, facts, reach.options.poolOf);
}

/** Nothing runs there, and no definition can be read: the record stands, unless one of the two files may lack what the other has. */
async function ofDeadHost(
  reach: MoveReach,
  before: BeforeImage,
  known: MoveKnown,
  off: readonly HostId[],
  signal: AbortSignal,
): Promise<MoveVerdict> {
  const { hostId, source, target, format } = partsOf(before);
  const other = reach.options.clusterOf(hostId).find((h) => !off.includes(h));
  if (other === undefined) return notKnown(before, 'its host is off, and no other one can look at its files');
  const [from, to] = [
    await probe(reach.run, other, source, format, signal),
    await probe(reach.run, other, target, format, signal),
  ];
  if (from === 'held' || to === 'held')
    return notKnown(before, `its host is off, and somebody has ${from === 'held' ? source : target} open`);
  if (from === 'absent') return { kind: 'DISK_MISSING', paths: [source], detail: `${other} does not see it` };
  if (known.switchAsked && to !== 'absent') {
    const same = await reach.run(other, compareFiles, [source, target, format], compareMs, signal);
    if (same.code !== 0)
      return notKnown(
        before,
        `its host is off, the switch was asked for, and ${source} and ${target} differ`,
      );
  }
  const disks = before.disks.map((d) => ({ disk: d.disk, at: d.at }));
  const leftovers: Leftover[] =
    to === 'absent' ? [] : [{ poolId: reach.options.poolOf(target), path: target, what: 'copy' }];
  return { kind: 'NOT_MOVED', disks, vm: undefined, leftovers };
}

const notKnown = (before: BeforeImage, detail: string): MoveVerdict => ({
  kind: 'UNKNOWN',
  fault: fault('MOVE_NOT_KNOWN', { vm: before.name, detail }),
});
