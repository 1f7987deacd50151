/** Where a VM's disks are in the simulated datacenter, by the table that holds for every driver: facts are read, then judged. */
import type { MoveKnown } from '../../../activities/ports';
import { fault } from '../../../domain/faults';
import type { HostId } from '../../../domain/ids';
import {
  type BeforeImage,
  type DiskFound,
  diskKey,
  type Leftover,
  type MoveVerdict,
  type VmFound,
} from '../../../domain/volume-move';
import { type ParsedDefinition, parseDefinition, shapeOf } from '../definition-text';
import { textOf } from '../volume-works';
import type { World } from '../world';

interface Seen {
  readonly hostId: HostId;
  readonly live: ParsedDefinition | undefined;
  readonly next: ParsedDefinition;
}

export function readVerdict(world: World, before: BeforeImage, known: MoveKnown): MoveVerdict {
  const unknown = (detail: string): MoveVerdict => ({
    kind: 'UNKNOWN',
    fault: fault('MOVE_NOT_KNOWN', { vm: before.name, detail }),
  });
  const off = new Set(known.proofs.map((p) => p.hostId));
  const cluster = world.host(before.order.hostId).spec.clusterId;
  const hosts = [...world.hosts.values()].filter((h) => h.spec.clusterId === cluster);
  const asked = hosts.filter((h) => !off.has(h.spec.id));
  const silent = asked.find((h) => !world.answers(h) || h.daemon !== 'alive');
  if (silent !== undefined) return unknown(`the list of ${silent.spec.id} cannot be read`);
  const work = world.volumeWorks.underWay(before.order.vmId ?? ('' as never))[0];
  if (work !== undefined) return { kind: 'IN_PROGRESS', detail: `${work.id} is ${work.state}` };
  const seen = asked.flatMap((h) => seenOn(world, before, h.spec.id));
  const [one] = seen;
  if (one === undefined)
    return off.has(before.order.hostId) ? ofDeadHost(world, before, known) : missing(before, asked.length);
  if (seen.length > 1) return unknown(`it is known to ${seen.map((s) => s.hostId).join(' and ')}`);
  return judge(world, before, one, unknown);
}

function seenOn(world: World, before: BeforeImage, hostId: HostId): Seen[] {
  const vm = before.order.vmId;
  if (vm === undefined) return [];
  const live = world.processOf(vm, hostId)?.definition;
  const text = world.host(hostId).definitions.get(vm)?.text;
  const next = text === undefined ? live : parseDefinition(text);
  return next === undefined ? [] : [{ hostId, live, next }];
}

function missing(before: BeforeImage, hosts: number): MoveVerdict {
  return {
    kind: 'VM_MISSING',
    paths: before.disks.map((d) => d.at.path),
    detail: `${hosts} hosts were asked, and none lists it`,
  };
}

/** Nothing runs, and no definition can be read: the record stands unless one of the two copies may lack what the other has. */
function ofDeadHost(world: World, before: BeforeImage, known: MoveKnown): MoveVerdict {
  const pairs = before.disks.flatMap((d) =>
    d.wanted?.path === undefined ? [] : [{ from: d.at.path, to: d.wanted.path }],
  );
  const differs = pairs.find((p) => world.storage.disks.has(p.to) && !world.volumeWorks.equal(p.from, p.to));
  if (known.switchAsked && differs !== undefined)
    return {
      kind: 'UNKNOWN',
      fault: fault('MOVE_NOT_KNOWN', {
        vm: before.name,
        detail: `its host is dead, the switch was asked for, and ${differs.from} and ${differs.to} differ`,
      }),
    };
  const disks = before.disks.map((d): DiskFound => ({ disk: d.disk, at: d.at }));
  return { kind: 'NOT_MOVED', disks, vm: undefined, leftovers: leftoverCopies(world, before, []) };
}

function judge(
  world: World,
  before: BeforeImage,
  { hostId, live, next }: Seen,
  unknown: (detail: string) => MoveVerdict,
): MoveVerdict {
  const disks = next.disks.map((d): DiskFound => ({
    disk: diskKey(d),
    at: { poolId: d.poolId, path: d.path, format: 'raw' },
  }));
  const used = [...next.disks, ...(live?.disks ?? [])].map((d) => d.path);
  const lost = used.filter((p) => world.storage.disks.get(p) === undefined);
  if (lost.length > 0 && live !== undefined)
    return unknown(`it runs on ${lost.join(', ')}, which is not there: keep it running`);
  if (lost.length > 0) return { kind: 'DISK_MISSING', paths: lost, detail: `${hostId} names it` };
  const vm: VmFound = { hostId, text: textOf(next), shape: shapeOf(next) };
  const places = before.disks.map((d) => {
    const now = disks.find((x) => x.disk === d.disk)?.at.poolId;
    const wanted = d.wanted?.poolId ?? d.at.poolId;
    if (now === wanted) return d.wanted === undefined ? 'stays' : 'moved';
    return now === d.at.poolId ? 'not-moved' : 'elsewhere';
  });
  if (places.includes('elsewhere')) return unknown('a disk is at a place that nobody asked for');
  const differs = live?.disks.some((d, i) => d.path !== next.disks[i]?.path) === true;
  const found = { disks, vm };
  const sources = before.disks
    .filter((d) => d.wanted !== undefined && !used.includes(d.at.path) && world.storage.disks.has(d.at.path))
    .map((d): Leftover => ({ poolId: d.at.poolId, path: d.at.path, what: 'source' }));
  const leftovers = [...leftoverCopies(world, before, used), ...sources];
  if (differs)
    return { kind: 'PARTIAL', ...found, leftovers, detail: 'what runs and what would start next differ' };
  if (places.includes('moved') && places.includes('not-moved'))
    return { kind: 'PARTIAL', ...found, leftovers, detail: 'some disks moved and some did not' };
  return { kind: places.includes('not-moved') ? 'NOT_MOVED' : 'MOVED', ...found, leftovers };
}

const leftoverCopies = (world: World, before: BeforeImage, used: readonly string[]): Leftover[] =>
  [...world.storage.disks.values()]
    .filter((d) => d.madeBy === before.order.attempt && !used.includes(d.path))
    .map((d): Leftover => ({ poolId: d.poolId, path: d.path, what: 'copy' }));
