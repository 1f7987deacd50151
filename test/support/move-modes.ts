/** Every way in which the simulated vCenter carries out a relocation, or says that it did, and what a run must come to in each. */
import type { RelocationPlan, VsphereSim } from '../../lab/vsphere/simulator';

export interface ModeContext {
  readonly sim: VsphereSim;
  /** The VM's name. */
  readonly vm: string;
  /** The datastore that its disks are to be moved to. */
  readonly target: string;
  /** Asks the run to stop, as `vmedic incident abort` does. */
  abort(): Promise<void>;
}

type Do = (of: ModeContext) => Promise<void>;

export interface Mode {
  readonly name: string;
  readonly plan?: RelocationPlan;
  readonly before?: Do;
  /** Once the run shows that it copies, or goes back already. */
  readonly meanwhile?: Do;
  readonly ends: 'moved' | 'not-moved' | 'stuck';
  /** What a person does about it when the run waits for one, before saying "retry". Without it they give up. */
  readonly cure?: Do;
  /** vCenter itself loses bytes here. */
  readonly losesBytes?: true;
  /** Undoes what would touch later cases. */
  readonly after?: Do;
}

const preset = (name: string, more: RelocationPlan = {}): RelocationPlan => ({
  preset: name,
  times: 1,
  ...more,
});
/** Refused where nothing is under way: the order may not have come so far. */
const goOn: Do = async ({ sim, vm }) => {
  await sim.order('go-on', { vm }).catch(() => undefined);
};
const abort: Do = (of) => of.abort();
const abortThenGoOn: Do = async (of) => {
  await of.abort();
  await goOn(of);
};
const clearPlans: Do = async ({ sim }) => {
  await sim.order('clear');
};
const hidden =
  (yes: boolean): Do =>
  async ({ sim, vm }) => {
    await sim.order('vm', { vm, hidden: yes });
  };

async function restartInTheMiddle(of: ModeContext): Promise<void> {
  await of.sim.order('restart', { downMs: 300 });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await goOn(of);
}

async function registerAnew(of: ModeContext): Promise<void> {
  const vmx = await of.sim.order('unregister', { vm: of.vm });
  await of.sim.order('register', { vmx });
  await goOn(of);
}

export const modes: readonly Mode[] = [
  { name: 'honest', plan: preset('move'), ends: 'moved' },
  { name: 'slow', plan: preset('slow', { ms: 400 }), ends: 'moved' },
  // As it is sold: it moves nothing, there and back, and says success. For good, so that nothing may rest on a second try.
  { name: 'stock', plan: { preset: 'stock' }, ends: 'not-moved' },
  { name: 'says done, moved nothing', plan: preset('lie'), ends: 'not-moved' },
  { name: 'ghost: the inventory alone moved', plan: preset('ghost'), ends: 'stuck' },
  { name: 'half, says done', plan: preset('partial'), ends: 'not-moved' },
  { name: 'half, says failed', plan: preset('partial-error'), ends: 'not-moved' },
  {
    name: 'half, and the way back lies',
    plan: preset('partial'),
    before: async ({ sim }) => sim.plan({ preset: 'lie' }),
    ends: 'not-moved',
    cure: clearPlans,
    after: clearPlans,
  },
  { name: 'fails before', plan: preset('fail'), ends: 'not-moved' },
  { name: 'says timed out, moved nothing', plan: preset('fail', { fault: 'Timedout' }), ends: 'not-moved' },
  { name: 'fails after the copy', plan: preset('fail-after-copy'), ends: 'not-moved' },
  {
    name: 'fails after a copy that is not whole',
    plan: preset('fail-after-copy', { corrupt: 'short' }),
    ends: 'not-moved',
  },
  { name: 'no space', plan: preset('no-space'), ends: 'not-moved' },
  { name: 'says failed, moved everything', plan: preset('moved-but-error'), ends: 'moved' },
  { name: 'keeps the source', plan: preset('keep-source'), ends: 'moved' },
  { name: 'a copy cut short', plan: preset('corrupt'), ends: 'stuck', losesBytes: true },
  // What docs/vsphere-support.md says that nobody can see: the length is right.
  { name: 'a copy of other bytes', plan: preset('corrupt-content'), ends: 'moved', losesBytes: true },
  { name: 'hangs until cancelled', plan: preset('hang'), meanwhile: abort, ends: 'not-moved' },
  {
    name: 'success after a cancel was taken',
    plan: preset('late-after-cancel'),
    meanwhile: abortThenGoOn,
    ends: 'moved',
  },
  { name: 'refuses to be cancelled', plan: preset('refuse-cancel'), meanwhile: abortThenGoOn, ends: 'moved' },
  {
    name: 'cancelled half-way',
    plan: { hold: 'between', times: 1 },
    meanwhile: abort,
    ends: 'not-moved',
  },
  { name: 'VM removed before', plan: preset('unregistered-before'), ends: 'not-moved' },
  { name: 'VM removed half-way', plan: preset('unregistered-during'), ends: 'not-moved' },
  { name: 'VM removed after', plan: preset('unregistered-after'), ends: 'not-moved' },
  { name: 'VM removed, says done', plan: preset('gone-yet-success'), ends: 'not-moved' },
  {
    name: 'orphaned',
    plan: preset('orphaned'),
    ends: 'moved',
    cure: async ({ sim, vm }) => {
      await sim.order('vm', { vm, state: 'connected' });
    },
  },
  // Another object in the inventory by then; the same VM all the same.
  { name: 'registered anew meanwhile', plan: preset('hang'), meanwhile: registerAnew, ends: 'moved' },
  {
    name: 'task forgotten: vCenter restarted',
    plan: { hold: 'between', times: 1 },
    meanwhile: restartInTheMiddle,
    ends: 'moved',
  },
  {
    name: 'read rights taken away',
    plan: preset('hang'),
    meanwhile: async (of) => {
      await hidden(true)(of);
      await goOn(of);
    },
    ends: 'moved',
    cure: hidden(false),
  },
  { name: 'not allowed', plan: { submitFault: 'NoPermission', times: 1 }, ends: 'not-moved' },
  {
    name: 'the answer is lost',
    before: ({ sim }) => sim.rule({ method: 'RelocateVM_Task', action: 'lose-reply', times: 1 }),
    ends: 'moved',
    after: clearPlans,
  },
  {
    name: 'the order never arrives',
    before: ({ sim }) => sim.rule({ method: 'RelocateVM_Task', action: 'reset', times: 1 }),
    ends: 'not-moved',
    after: clearPlans,
  },
  {
    name: 'target full',
    before: async ({ sim, target }) => {
      await sim.order('datastore', { name: target, freeSpace: 10 });
    },
    ends: 'not-moved',
    after: async ({ sim, target }) => {
      await sim.order('datastore', { name: target, freeSpace: 1_000_000_000_000 });
    },
  },
];
