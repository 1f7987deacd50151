/** The verdict table for disks on libvirt hosts: facts first, then a pure judgement. Each row was met on real hosts. */
import type { MoveKnown } from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import {
  type BeforeImage,
  type DiskFound,
  eitherPlace,
  type Leftover,
  type MoveVerdict,
  type VmFound,
} from '../../domain/volume-move';
import { type PoolOf, shapeOf } from './domain-xml';
import { diskOf, movedVm, type MoveReach } from './move-reach';
import { isSameDisk, type Part, type Place } from './places';
import type { FileSight, SeenVm } from './vm-disks';

export interface DiskFacts {
  readonly part: Part;
  readonly source: FileSight;
  readonly target: FileSight;
  /** A copy of a stopped VM's disk is being made. */
  readonly copying: boolean;
  /** Something of an unfinished copy is kept beside the target. */
  readonly remains: boolean;
  /** Why the source stays when nothing uses it any more. */
  readonly stays?: string | undefined;
}

export interface MoveFacts {
  readonly seen: SeenVm;
  readonly disks: readonly DiskFacts[];
}

export function judgeMove(before: BeforeImage, { seen, disks }: MoveFacts, poolOf: PoolOf): MoveVerdict {
  const mirror = seen.live?.find((d) => d.mirror !== undefined)?.mirror;
  if (mirror !== undefined) return { kind: 'IN_PROGRESS', detail: `it is being copied to ${mirror.path}` };
  const copying = disks.find((d) => d.copying);
  if (copying !== undefined)
    return { kind: 'IN_PROGRESS', detail: `it is being copied to ${copying.part.target.path}` };
  const verdicts = disks.map((d) => judgeDisk(before, seen, d));
  const odd = verdicts.find((v) => v.kind === 'UNKNOWN') ?? verdicts.find((v) => v.kind === 'DISK_MISSING');
  if (odd !== undefined) return odd;
  const shape = shapeOf(seen.text, poolOf);
  const found: { disks: DiskFound[]; vm: VmFound; leftovers: Leftover[] } = {
    disks: shape.disks.map((d) => ({
      disk: d.device,
      at: { poolId: d.poolId, path: d.path, format: d.format },
    })),
    vm: { hostId: seen.hostId, text: seen.text, shape },
    leftovers: disks.flatMap((d) => leftoversOf(seen, d, poolOf)),
  };
  const partial = verdicts.find((v) => v.kind === 'PARTIAL');
  if (partial !== undefined) return { kind: 'PARTIAL', ...found, detail: partial.detail };
  const moved = disks.filter((_, i) => verdicts[i]?.kind === 'MOVED').map((d) => d.part.device);
  if (moved.length === disks.length) return { kind: 'MOVED', ...found };
  if (moved.length === 0) return { kind: 'NOT_MOVED', ...found };
  const stayed = disks.map((d) => d.part.device).filter((d) => !moved.includes(d));
  return { kind: 'PARTIAL', ...found, detail: `${moved.join(', ')} moved, ${stayed.join(', ')} did not` };
}

type DiskVerdict =
  | { readonly kind: 'MOVED' | 'NOT_MOVED' }
  | { readonly kind: 'PARTIAL'; readonly detail: string }
  | Extract<MoveVerdict, { kind: 'UNKNOWN' | 'DISK_MISSING' }>;

function judgeDisk(before: BeforeImage, seen: SeenVm, facts: DiskFacts): DiskVerdict {
  const { part, source, target } = facts;
  const unknown = (detail: string): DiskVerdict => ({
    kind: 'UNKNOWN',
    fault: fault('MOVE_NOT_KNOWN', { vm: before.name, detail }),
  });
  const [live, next] = [diskOf(seen.live, part.device), diskOf(seen.next, part.device)];
  if (next === undefined || (seen.live !== undefined && live === undefined))
    return unknown(`${part.device} is not attached any more`);
  const strange = [live, next].find(
    (d) => d !== undefined && d.path !== part.source.path && d.path !== part.target.path,
  );
  if (strange !== undefined) return unknown(`it is at ${strange.path}, where nobody asked for it`);
  const sightOf = (path: string): FileSight => (path === part.source.path ? source : target);
  const used = live ?? next;
  if (live !== undefined && sightOf(live.path) !== 'held')
    return unknown(
      `it runs, and nobody has ${live.path} open (${sightOf(live.path)}): keep it running, copy its disk elsewhere`,
    );
  if (live !== undefined && live.path !== next.path)
    return { kind: 'PARTIAL', detail: `it runs on ${live.path} and would start from ${next.path}` };
  if (live === undefined && sightOf(next.path) === 'absent')
    return { kind: 'DISK_MISSING', paths: [next.path], detail: `${seen.hostId} names it` };
  if (live === undefined && sightOf(next.path) === 'held')
    return unknown(`it does not run on ${seen.hostId}, and somebody has ${next.path} open`);
  if (used.path === part.source.path) return { kind: 'NOT_MOVED' };
  if (isSameDisk(next, part.target)) return { kind: 'MOVED' };
  return {
    kind: 'PARTIAL',
    detail: `it would start from ${next.path} as ${next.format}, and that is ${part.target.format}`,
  };
}

function leftoversOf(
  seen: SeenVm,
  { part, source, target, remains, stays }: DiskFacts,
  poolOf: PoolOf,
): Leftover[] {
  const uses = (place: Place): boolean =>
    [...(seen.live ?? []), ...seen.next].some((d) => d.path === place.path);
  const left: Leftover[] = [];
  if (!uses(part.source) && source !== 'absent')
    left.push({
      poolId: poolOf(part.source.path),
      path: part.source.path,
      what: 'source',
      ...(stays !== undefined && { stays }),
    });
  if (!uses(part.target) && (target !== 'absent' || remains))
    left.push({ poolId: poolOf(part.target.path), path: part.target.path, what: 'copy' });
  return left;
}

export async function readVerdict(
  reach: MoveReach,
  before: BeforeImage,
  known: MoveKnown,
  signal: AbortSignal,
): Promise<MoveVerdict> {
  const { hostId, vmId, disks } = movedVm(before);
  const off = known.proofs.map((p) => p.hostId);
  const all = await reach.everywhere(hostId, vmId, off, signal);
  const running = all.filter((s) => s.live !== undefined);
  if (running.length > 1) return notKnown(before, `it runs on ${running.map((s) => s.hostId).join(' and ')}`);
  const seen = running[0] ?? all.find((s) => s.hostId === hostId) ?? (all.length === 1 ? all[0] : undefined);
  if (seen === undefined && off.includes(hostId)) return ofDeadHost(reach, before, known, off, signal);
  if (seen === undefined && all.length > 0)
    return notKnown(
      before,
      `it is defined on ${all.map((s) => s.hostId).join(' and ')} and not on ${hostId}`,
    );
  if (seen === undefined)
    return {
      kind: 'VM_MISSING',
      paths: eitherPlace(before),
      detail: 'every host of its cluster was asked, and none lists it',
    };
  const facts: DiskFacts[] = [];
  for (const part of disks) facts.push(await factsOf(reach, seen.hostId, part, signal));
  return judgeMove(before, { seen, disks: facts }, reach.options.poolOf);
}

async function factsOf(reach: MoveReach, host: HostId, part: Part, signal: AbortSignal): Promise<DiskFacts> {
  const source = await reach.places.sight(host, part.source, signal);
  const target = await reach.places.sight(host, part.target, signal);
  const stays = await reach.places.mustStay(host, part.source, signal);
  const [state] = await reach.copyState(host, part, signal);
  const remains = state === 'failed' || state === 'ended';
  return { part, source, target, stays, copying: state === 'running', remains };
}

/** Nothing runs there, and no definition can be read: the record stands, unless one of two places may lack what the other has. */
async function ofDeadHost(
  reach: MoveReach,
  before: BeforeImage,
  known: MoveKnown,
  off: readonly HostId[],
  signal: AbortSignal,
): Promise<MoveVerdict> {
  const { hostId, disks: parts } = movedVm(before);
  const other = reach.options.clusterOf(hostId).find((h) => !off.includes(h));
  if (other === undefined) return notKnown(before, 'its host is off, and no other one can look at its disks');
  const leftovers: Leftover[] = [];
  for (const part of parts) {
    const { source, target } = part;
    const from = await reach.places.sight(other, source, signal);
    const to = await sightOfCopy(reach, other, target, known, signal);
    if (from === 'held' || to === 'held')
      return notKnown(
        before,
        `its host is off, and somebody has ${from === 'held' ? source.path : target.path} open`,
      );
    if (from === 'absent')
      return { kind: 'DISK_MISSING', paths: [source.path], detail: `${other} does not see it` };
    if (known.switchAsked && to !== 'absent') {
      // To compare a volume it would have to be activated there, and this only reads.
      const equal =
        source.volume === undefined &&
        target.volume === undefined &&
        (await reach.compare(other, part, signal)).code === 0;
      if (!equal)
        return notKnown(
          before,
          `its host is off, the switch was asked for, and ${source.path} and ${target.path} are not known to be equal`,
        );
    }
    if (to !== 'absent')
      leftovers.push({ poolId: reach.options.poolOf(target.path), path: target.path, what: 'copy' });
  }
  const disks = before.disks.map((d) => ({ disk: d.disk, at: d.at }));
  return { kind: 'NOT_MOVED', disks, vm: undefined, leftovers };
}

/** A volume of the dead host's own is seen by nobody else; before the switch was asked for, it holds nothing that the source does not. */
async function sightOfCopy(
  reach: MoveReach,
  host: HostId,
  target: Place,
  known: MoveKnown,
  signal: AbortSignal,
): Promise<FileSight> {
  try {
    return await reach.places.sight(host, target, signal);
  } catch (error) {
    if (target.volume === undefined || known.switchAsked || !(error instanceof DriverFault)) throw error;
    return 'free';
  }
}

const notKnown = (before: BeforeImage, detail: string): MoveVerdict => ({
  kind: 'UNKNOWN',
  fault: fault('MOVE_NOT_KNOWN', { vm: before.name, detail }),
});
