import type {
  ActOutcome,
  FoundTask,
  MoveDirection,
  Preflight,
  Submitted,
  VolumeMovesPort,
} from '../../../activities/ports';
import { fault, type Fault } from '../../../domain/faults';
import type { HostId, PoolId, VmId } from '../../../domain/ids';
import {
  type BeforeImage,
  type DiskBefore,
  diskKey,
  type Leftover,
  type MoveOrder,
  type TaskState,
} from '../../../domain/volume-move';
import type { CallContext, Served } from '../call-context';
import { type ParsedDefinition, parseDefinition } from '../definition-text';
import { diskBytes, noVm, targetPath, type VolumeWork, type WorkDisk } from '../volume-works';
import type { World } from '../world';
import type { HostState } from '../world-state';
import { act, reach } from './hypervisor';
import { looseVerdict, preflightLoose, submitLoose, whyLooseStays } from './loose-disks';
import { readVerdict } from './volume-verdict';

const ok: ActOutcome = { kind: 'ok' };
const refused = (made: Fault): ActOutcome & Submitted => ({ kind: 'refused', fault: made });

export function volumeMovesBody(world: World): Served<VolumeMovesPort> {
  return {
    async preflight(order, context) {
      const state = await reach(world, order.hostId, context);
      return order.vmId === undefined ? preflightLoose(world, order) : preflight(world, order, state);
    },

    submit: (before, direction, context) =>
      act<Submitted>(world, before.order.hostId, 0, context, (state) =>
        before.order.vmId === undefined
          ? submitLoose(world, before)
          : submit(world, before, direction, state),
      ),

    async find(before, direction, since, context) {
      await reach(world, before.order.hostId, context);
      return find(world, before, direction, since);
    },

    async follow(before, task, roundMs, context) {
      await reach(world, before.order.hostId, context);
      const work = world.volumeWorks.known((w) => w.id === task.id);
      if (work?.state === 'copying') {
        await nextNews(world, work, roundMs, context);
        // Who died while it was asked gives no answer.
        await reach(world, before.order.hostId, context);
      }
      return stateOf(world, task.id);
    },

    cancel: (before, task, context) =>
      act(world, before.order.hostId, 0, context, () => {
        const work = world.volumeWorks.known((w) => w.id === task.id);
        if (work !== undefined) world.volumeWorks.cancel(work);
        return ok;
      }),

    switchOver: (before, task, context) =>
      act(world, before.order.hostId, 0, context, (state) => {
        const work = world.volumeWorks.known((w) => w.id === task.id);
        const vm = before.name;
        if (work?.state === 'ended' && work.says === 'done') return ok;
        if (currentDefinition(world, state, vmOf(before)) === undefined)
          return refused(
            fault('VM_NOT_IN_INVENTORY', { vm, detail: `${before.order.hostId} does not list it` }),
          );
        if (work?.state !== 'ready')
          return refused(fault('MOVE_REFUSED', { vm, detail: 'no whole copy waits for the order' }));
        const why = world.volumeWorks.switchOver(work);
        return why === undefined ? ok : refused(why);
      }),

    async classify(before, known, context) {
      if (before.order.vmId === undefined) {
        await reach(world, before.order.hostId, context);
        return looseVerdict(world, before);
      }
      await context.wait(world.costs.readMs);
      return readVerdict(world, before, known);
    },

    letGo: (before, context) =>
      act(world, before.order.hostId, 0, context, () => {
        const process = world.processOf(vmOf(before), before.order.hostId);
        if (process?.state !== 'paused' || process.reason !== 'moving') return ok;
        Object.assign(process, { state: 'running', reason: 'unpaused' });
        world.stir(process);
        return ok;
      }),

    remove: (before, leftovers, context) =>
      act(world, before.order.hostId, 0, context, () => {
        const kept = leftovers.flatMap((l) => removeOne(world, before, l));
        return kept[0] === undefined ? ok : refused(kept[0]);
      }),
  };
}

const vmOf = ({ order }: BeforeImage): VmId => order.vmId ?? noVm;

function currentDefinition(world: World, host: HostState, vm: VmId): ParsedDefinition | undefined {
  const running = world.processOf(vm, host.spec.id)?.definition;
  const text = host.definitions.get(vm)?.text;
  return running ?? (text === undefined ? undefined : parseDefinition(text));
}

function preflight(world: World, order: MoveOrder, host: HostState): Preflight {
  const vm = order.vmId ?? order.attempt;
  const definition = order.vmId === undefined ? undefined : currentDefinition(world, host, order.vmId);
  const not = (...faults: Fault[]): Preflight => ({ kind: 'refused', faults });
  if (definition === undefined)
    return not(fault('VM_NOT_IN_INVENTORY', { vm, detail: `${order.hostId} does not list it` }));
  const { name } = definition;
  const faults: Fault[] = [];
  for (const { disk } of order.disks)
    if (!definition.disks.some((d) => diskKey(d) === disk))
      faults.push(fault('UNKNOWN_DISK', { vm: name, disk, known: definition.disks.map(diskKey).join(', ') }));
  const disks = definition.disks.map((d): DiskBefore => {
    const to = order.disks.find((m) => m.disk === diskKey(d))?.to;
    const at = { poolId: d.poolId, path: d.path, format: 'raw' };
    const pool = to === undefined ? undefined : world.storage.pool(to);
    if (to !== undefined) faults.push(...diskFaults(world, name, d, to, host));
    const path = pool === undefined ? undefined : targetPath(pool, name, d.device, order.attempt);
    const wanted = to === undefined ? undefined : { poolId: to, path };
    return { disk: diskKey(d), device: d.device, at, wanted, bytes: diskBytes };
  });
  const other = world.volumeWorks.underWay(definition.vmId).find((w) => w.attempt !== order.attempt);
  if (other !== undefined) faults.push(fault('MOVE_BUSY', { vm: name, detail: `${other.id} is under way` }));
  if (faults.length > 0) return not(...faults);
  const byItself = order.disks.some((d) => world.storage.pool(d.to)?.type === 'vmfs');
  const running = world.processOf(definition.vmId, host.spec.id) !== undefined;
  return {
    kind: 'ready',
    before: {
      ...{ order, name, running, disks, readAt: world.now(), own: {} },
      switches: byItself ? 'by-itself' : 'by-order',
    },
  };
}

function diskFaults(
  world: World,
  vm: string,
  disk: ParsedDefinition['disks'][number],
  to: PoolId,
  host: HostState,
): Fault[] {
  const pool = world.storage.pool(to);
  if (pool === undefined)
    return [fault('POOL_NOT_USABLE', { pool: to, vm, detail: 'there is no such pool' })];
  const faults: Fault[] = [];
  if (!host.spec.pools.includes(to))
    faults.push(fault('POOL_NOT_USABLE', { pool: to, vm, detail: `${host.spec.id} does not reach it` }));
  if (disk.poolId === to)
    faults.push(fault('DISK_NOT_MOVABLE', { vm, disk: diskKey(disk), detail: `it lies on ${to} already` }));
  if (disk.shareable === true)
    faults.push(fault('DISK_NOT_MOVABLE', { vm, disk: diskKey(disk), detail: 'it is shareable' }));
  if (world.storage.disks.get(disk.path)?.sight !== 'usable')
    faults.push(
      fault('DISK_NOT_MOVABLE', { vm, disk: diskKey(disk), detail: `${disk.path} cannot be read` }),
    );
  const free = world.storage.freeBytes(to);
  if (free < diskBytes)
    faults.push(fault('POOL_FULL', { pool: to, vm, free: String(free), needed: String(diskBytes) }));
  return faults;
}

function submit(world: World, before: BeforeImage, direction: MoveDirection, host: HostState): Submitted {
  const vm = before.name;
  const { attempt, hostId } = before.order;
  const vmId = vmOf(before);
  const [other] = world.volumeWorks.underWay(vmId);
  if (other?.attempt === attempt && other.direction === direction)
    return { kind: 'accepted', task: { id: other.id } };
  if (other !== undefined) return refused(fault('MOVE_BUSY', { vm, detail: `${other.id} is under way` }));
  const definition = currentDefinition(world, host, vmId);
  if (definition === undefined)
    return refused(fault('VM_NOT_IN_INVENTORY', { vm, detail: `${hostId} does not list it` }));
  const disks = workDisks(world, before, direction, definition);
  const { switches } = before;
  const work = world.volumeWorks.begin({ attempt, direction, vmId, hostId, disks, switches });
  return { kind: 'accepted', task: { id: work.id } };
}

/** Back goes only what is not where it was. */
function workDisks(
  world: World,
  before: BeforeImage,
  direction: MoveDirection,
  definition: ParsedDefinition,
): WorkDisk[] {
  return before.disks.flatMap((d): WorkDisk[] => {
    const now = definition.disks.find((x) => diskKey(x) === d.disk);
    const wanted = d.wanted;
    if (now === undefined || wanted === undefined) return [];
    const toPool = direction === 'there' ? wanted.poolId : d.at.poolId;
    if (toPool === undefined || now.poolId === toPool) return [];
    const pool = world.storage.pool(toPool);
    if (pool === undefined) return [];
    const suffix = direction === 'there' ? before.order.attempt : `${before.order.attempt}-back`;
    const path = targetPath(pool, before.name, d.device, suffix);
    return [{ device: d.device, from: now, to: { ...now, poolId: toPool, path } }];
  });
}

function find(world: World, before: BeforeImage, direction: MoveDirection, since: string): FoundTask {
  const { attempt } = before.order;
  const vmId = vmOf(before);
  const mine = world.volumeWorks.known(
    (w) => w.attempt === attempt && w.direction === direction && w.beganAt >= since,
  );
  if (mine !== undefined) return { kind: 'found', task: { id: mine.id } };
  if (vmId === noVm) return { kind: 'nothing', repeatable: true };
  const other = world.volumeWorks.known((w) => w.vmId === vmId && w.state !== 'ended');
  if (other !== undefined)
    return {
      kind: 'foreign',
      fault: fault('MOVE_BUSY', { vm: before.name, detail: `${other.id} is under way` }),
    };
  return { kind: 'nothing', repeatable: before.switches === 'by-order' };
}

function stateOf(world: World, id: string): TaskState {
  const work = world.volumeWorks.known((w) => w.id === id);
  if (work === undefined) return { kind: 'forgotten' };
  if (work.state === 'ready') return { kind: 'ready' };
  if (work.state === 'ended') return { kind: 'ended', says: work.says ?? 'failed', fault: work.fault };
  const sinceMs = world.nowMs() - work.beganAtMs;
  return {
    kind: 'running',
    percent: work.copyMs === 0 ? undefined : Math.min(99, Math.floor((100 * sinceMs) / work.copyMs)),
  };
}

async function nextNews(
  world: World,
  work: VolumeWork,
  roundMs: number,
  context: CallContext,
): Promise<void> {
  const until = world.nowMs() + roundMs;
  while (work.state === 'copying' && world.nowMs() < until && !context.signal.aborted)
    await context.wait(Math.min(10, roundMs));
}

function removeOne(world: World, before: BeforeImage, { path, what }: Leftover): Fault[] {
  const disk = world.storage.disks.get(path);
  if (disk === undefined) return [];
  const not = (detail: string): Fault[] => [fault('NOT_REMOVED', { path, vm: before.name, detail })];
  const { attempt } = before.order;
  const ours =
    what === 'copy'
      ? disk.madeBy === attempt
      : before.disks.some((d) => d.wanted !== undefined && d.at.path === path);
  if (!ours) return not('it was not made, and not moved away from, by this order');
  const user = namedBy(world, path);
  if (user !== undefined) return not(`${user} names it`);
  if (world.storage.lockOn(path) !== undefined) return not('somebody has it open');
  const why = before.order.vmId === undefined ? whyLooseStays(world, before, what) : undefined;
  if (why !== undefined) return not(why);
  world.volumeWorks.remove(path, attempt);
  return [];
}

export function namedBy(world: World, path: string): string | undefined {
  const names = (d: ParsedDefinition | undefined): boolean => d?.disks.some((x) => x.path === path) === true;
  for (const [id, host] of world.hosts as ReadonlyMap<HostId, HostState>) {
    const process = world.processesOn(id).find((p) => names(p.definition));
    const defined = [...host.definitions.values()].find((d) => names(parseDefinition(d.text)));
    if (process !== undefined || defined !== undefined) return `${(process ?? defined)?.name} on ${id}`;
  }
  return undefined;
}
