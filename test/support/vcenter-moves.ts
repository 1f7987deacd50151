/** One volume's move through the shipped workflow on a simulated vCenter, and the verdict of a reader that shares no code with it. */
import { type WorkflowHandle, WorkflowFailedError } from '@temporalio/client';
import type { Ports } from '../../activities/ports';
import { incidentId, poolId, type VmId, vmId, workflowIds } from '../../domain/ids';
import type { VmRecord } from '../../domain/records';
import type { migrateVolume } from '../../workflows';
import { failureTypes, type MigrateVolumeInput } from '../../workflows/inputs';
import { abortUpdate, type MoveStatus, moveStatusQuery, resolveStuckUpdate } from '../../workflows/messages';
import type { Mode, ModeContext } from './move-modes';
import { discover, testTrigger } from './recovery-system';
import { said } from './story';
import { openReader, type SeenDisk, type VcenterReader } from './vcenter-reader';
import { hooked, type MoveHook } from './vcenter-hooks';
import { type VcenterSystem, vcenterSystem } from './vcenter-system';

export const target = 'LocalDS_1';
const pace = {
  preflightMs: 2_000,
  roundMs: { first: 20, max: 200 },
  settleMs: 30,
  readBackMs: 1_000,
  standStillMs: 60_000,
} as const;

export interface MoveWorld {
  readonly system: VcenterSystem;
  /** A VM of two disks that no case has had; every other one runs. */
  fresh(): Promise<MoveCase>;
  close(): Promise<void>;
}

export interface MoveCase {
  readonly system: VcenterSystem;
  readonly vm: string;
  readonly id: VmId;
  /** vCenter's object at the start. */
  readonly ref: string;
  readonly record: VmRecord;
  readonly disks: readonly SeenDisk[];
  readonly reader: VcenterReader;
}

export async function moveWorld(
  vms: number,
  how: { readonly hook?: MoveHook; readonly worker?: 'here' | 'elsewhere' } = {},
): Promise<MoveWorld> {
  const { hook, worker } = how;
  const system = await vcenterSystem({
    ...{ hosts: 2, vms, disks: 2 },
    ...(hook === undefined ? {} : { wrap: (ports: Ports) => hooked(ports, hook) }),
    ...(worker === undefined ? {} : { worker }),
    async prepare(sim, state) {
      for (const vm of Object.keys(state.vms).filter((_, i) => i % 2 === 0))
        await sim.order('vm', { vm, power: 'on' });
    },
  });
  await discover(system.ports, system.fleet);
  const unused = Object.entries(system.state.vms);
  const reader = await openReader(system.sim, unused[0]?.[1].instanceUuid ?? '');
  return {
    system,
    async fresh() {
      const next = unused.shift();
      if (next === undefined) throw new Error('more cases than VMs');
      const [vm, { instanceUuid, ref }] = next;
      const id = vmId(instanceUuid);
      const record = await system.inventory.vm(id);
      const disks = await reader.disksOf(instanceUuid);
      if (record === undefined || disks === undefined) throw new Error(`${vm} was not discovered`);
      if (disks.length !== 2 || disks.some((d) => d.datastore !== 'LocalDS_0' || d.content === undefined))
        throw new Error(`${vm} is not what a case begins with: ${JSON.stringify(disks)}`);
      return { system, vm, id, ref, record, disks, reader };
    },
    close: () => system.close(),
  };
}

export const incidentOf = ({ id }: MoveCase) => incidentId({ kind: 'vm', vmId: id }, 1);

export function startMove(
  { system, vm, id, record, disks }: MoveCase,
  of: readonly SeenDisk[] = disks,
): Promise<WorkflowHandle<typeof migrateVolume>> {
  const incident = incidentId({ kind: 'vm', vmId: id }, 1);
  const input: MigrateVolumeInput = {
    ...{ vmId: id, name: vm, clusterId: system.cluster, hostId: record.hostId, epoch: 1, mode: 'act', pace },
    ...{ incidentId: incident, trigger: testTrigger() },
    disks: of.map((d) => ({ disk: d.uuid, to: poolId(target) })),
  };
  return system.client.workflow.start<typeof migrateVolume>('migrateVolume', {
    ...{ workflowId: workflowIds.vm(id), taskQueue: system.taskQueue, args: [input] },
    memo: { incidentId: incident, requestedBy: 'tester', reason: 'test' },
  });
}

export type Ending = 'moved' | 'not-moved' | 'stuck' | 'cancelled';

/** Runs a mode to its end, as a person would who watches it. */
export async function playMode(one: MoveCase, mode: Mode, run: WorkflowHandle): Promise<Ending> {
  const context: ModeContext = { ...contextOf(one), abort: () => abortMove(run) };
  let played = mode.meanwhile === undefined;
  let cured = false;
  const ended = endingOf(run);
  for (;;) {
    const asked = statusOf(run);
    const now = await Promise.race([ended, asked]);
    if (typeof now === 'string') {
      // A question that nobody could answer yet is asked again by the client, which must not outlive its connection.
      await asked;
      return now;
    }
    if ((now?.phase === 'copying' || now?.phase === 'going-back') && !played) {
      played = true;
      await mode.meanwhile?.(context);
    }
    if (now?.phase === 'stuck') {
      const cure = cured ? undefined : mode.cure;
      cured = true;
      await cure?.(context);
      const resolution = cure === undefined ? 'give-up' : 'retry';
      // It may have gone on by itself by now.
      await run
        .executeUpdate(resolveStuckUpdate, { args: [{ ...said('seen to'), resolution }] })
        .catch(() => undefined);
    }
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 30))]);
  }
}

export const contextOf = ({ system, vm }: MoveCase): Omit<ModeContext, 'abort'> => ({
  ...{ sim: system.sim, vm, target },
});

/** Refused once it is too late, and without answer once the run is over: then it changes nothing. */
export async function abortMove(run: WorkflowHandle): Promise<void> {
  await run.executeUpdate(abortUpdate, { args: [said('the pool is needed')] }).catch(() => undefined);
}

async function statusOf(run: WorkflowHandle): Promise<MoveStatus | undefined> {
  try {
    return await run.query<MoveStatus>(moveStatusQuery.name);
  } catch {
    // No worker at this moment.
    return undefined;
  }
}

async function endingOf(run: WorkflowHandle): Promise<Ending> {
  try {
    await run.result();
    return 'moved';
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { type } = error.cause as { type?: string };
    if (type === failureTypes.compensated) return 'not-moved';
    if (type === failureTypes.stuck) return 'stuck';
    if (error.cause?.name === 'CancelledFailure') return 'cancelled';
    throw error;
  }
}

/** What is wrong with how a case ended, by the judge's own eyes; empty when nothing is. */
export async function wrongWith(one: MoveCase, mode: Mode, ending: Ending): Promise<string[]> {
  const { system, id, disks, reader } = one;
  const seen = await reader.disksOf(id);
  const record = await system.inventory.vm(id);
  const recorded = record?.shape.disks.map((d) => `${d.uuid ?? ''} at ${d.path}`).sort();
  const before = one.record.shape.disks.map((d) => `${d.uuid ?? ''} at ${d.path}`).sort();
  const truth = seen?.map((d) => `${d.uuid} at ${d.path}`).sort();
  // Of a run that was given up nobody knows where the disks are: its record says what it said before, and the run is open about it.
  const isKnown = truth !== undefined && ending !== 'stuck';
  const wanted = isKnown ? truth : before;
  const stores = new Set(seen?.map((d) => d.datastore));
  const wrong: string[] = [];
  const must = (is: boolean, what: string): void => {
    if (!is) wrong.push(what);
  };
  must(String(recorded) === String(wanted), `the record says ${String(recorded)}, it is ${String(wanted)}`);
  if (ending === 'moved') must([...stores].join() === target, `moved, and it lies on ${[...stores].join()}`);
  if (isKnown && ending !== 'moved')
    must([...stores].join() === 'LocalDS_0', `${ending}, and it lies on ${[...stores].join()}`);
  if (isKnown)
    for (const d of seen ?? []) must(d.content !== undefined, `a file of ${d.uuid} is missing: ${d.path}`);
  if (mode.losesBytes !== true)
    for (const { uuid, content = '' } of disks) {
      must(reader.copiesOf(content) > 0, `the bytes of ${uuid} are lost`);
      if (isKnown)
        must(seen?.find((d) => d.uuid === uuid)?.content === content, `${uuid} names a file of other bytes`);
    }
  const sent = (await system.sim.calls('RelocateVM_Task')).filter((c) => c.this === one.ref).length;
  const timeline = await system.inventory.timeline(incidentOf(one));
  const intents = timeline.filter((e) => e.kind === 'act' && / move (back )?\S+ to /.test(e.sentence)).length;
  must(sent <= intents, `${sent} relocations were sent for ${intents} intents`);
  must(sent <= 1 || intents > 1, `the move was sent ${sent} times`);
  const incident = await system.inventory.incident(incidentOf(one));
  const outcome = ending === 'cancelled' ? 'aborted' : ending;
  must(incident?.outcome === outcome, `ended as ${ending}, closed as ${String(incident?.outcome)}`);
  return wrong;
}
