/**
 * A volume's move through the shipped workflow, on a vCenter that moves, lies, forgets and breaks off: every mode of the simulator as it is, and
 * interrupted by a person's abort or by a dropped session right before and right after each call. In each, the record names what a reader that
 * shares no code with the client finds, and no bytes are lost. CI runs each mode once and a sample that the date seeds; `make soak` the product.
 */
import { workflowIds } from '../../domain/ids';
import { type Mode, modes } from '../support/move-modes';
import { sampleSeed, seededSample } from '../support/seeded-sample';
import { describeOnVcenter } from '../support/vcenter';
import { type At, moveCalls, type MoveHook } from '../support/vcenter-hooks';
import {
  abortMove,
  incidentOf,
  type MoveCase,
  moveWorld,
  type MoveWorld,
  playMode,
  startMove,
  wrongWith,
} from '../support/vcenter-moves';

const soak = process.env['VMEDIC_SOAK'] === 'true';

type Kind = 'abort' | 'session';
interface Cut extends At {
  readonly kind: Kind;
}

const cuts: readonly Cut[] = (['abort', 'session'] as const).flatMap((kind) =>
  moveCalls.flatMap((call) => (['before', 'after'] as const).map((when) => ({ kind, call, when }))),
);
const product = modes.flatMap((mode) => cuts.map((cut) => ({ mode, cut })));

let world: MoveWorld;
/** Of the case that runs: one at a time. */
let strike: MoveHook | undefined;

async function begin(vms: number): Promise<void> {
  world = await moveWorld(vms, { hook: async (at, vm) => strike?.(at, vm) });
}

async function played(mode: Mode, cut?: Cut): Promise<{ one: MoveCase; ending: string; wrong: string[] }> {
  const one = await world.fresh();
  const { sim } = one.system;
  const context = { sim, vm: one.vm, target: 'LocalDS_1', abort: () => Promise.resolve() };
  await mode.before?.(context);
  if (mode.plan !== undefined) await sim.plan({ vm: one.vm, ...mode.plan });
  let struck = false;
  strike = async (at) => {
    if (cut === undefined || struck || at.call !== cut.call || at.when !== cut.when) return;
    struck = true;
    if (cut.kind === 'abort') await abortMove(one.system.client.workflow.getHandle(workflowIds.vm(one.id)));
    else await sim.order('expire-sessions');
  };
  const run = await startMove(one);
  try {
    const ending = await playMode(one, mode, run);
    return { one, ending, wrong: await wrongWith(one, mode, ending) };
  } finally {
    strike = undefined;
    await mode.after?.(context);
  }
}

/** A dropped session costs time, and nothing else. What an abort comes to depends on the moment: the truth of it is judged. */
async function interrupted(mode: Mode, cut: Cut): Promise<string[]> {
  const { ending, wrong } = await played(mode, cut);
  if (cut.kind === 'session' && ending !== mode.ends) wrong.push(`ended as ${ending}`);
  if (mode.name === 'stock' && ending === 'moved') wrong.push('the stock relocation was believed');
  return wrong;
}

describeOnVcenter('a volume move on a vCenter as it is', () => {
  beforeAll(() => begin(modes.length + 8));
  afterAll(() => world.close());

  it.each(modes)('$name: ends as $ends', async (mode) => {
    const { ending, wrong } = await played(mode);
    expect(wrong).toEqual([]);
    expect(ending).toBe(mode.ends);
  });

  it.each([1, 2])('never succeeds by the stock relocation, %d disks asked for', async (count) => {
    const one = await world.fresh();
    await one.system.sim.plan({ vm: one.vm, preset: 'stock' });
    const run = await startMove(one, one.disks.slice(0, count));
    const stock = modes.find((m) => m.name === 'stock') as Mode;
    const ending = await playMode(one, stock, run);
    expect(ending).toBe('not-moved');
    expect(await wrongWith(one, stock, ending)).toEqual([]);
  });

  it('hears an abort whose request met a session that had just ended', async () => {
    const one = await world.fresh();
    const hang = modes.find((m) => m.name === 'hangs until cancelled') as Mode;
    await one.system.sim.plan({ vm: one.vm, ...hang.plan });
    let struck = false;
    strike = async ({ call, when }) => {
      if (struck || call !== 'follow' || when !== 'after') return;
      struck = true;
      await one.system.sim.order('expire-sessions');
      await abortMove(one.system.client.workflow.getHandle(workflowIds.vm(one.id)));
    };
    const aborted: Mode = { name: hang.name, ends: hang.ends };
    const ending = await playMode(one, aborted, await startMove(one));
    strike = undefined;
    expect([struck, ending]).toEqual([true, 'not-moved']);
    expect(await wrongWith(one, aborted, ending)).toEqual([]);
    const said = (await one.system.inventory.timeline(incidentOf(one))).map((e) => e.sentence).join('\n');
    expect(said).toContain(
      'could not be asked to stop: vCenter vc did not carry out CancelTask: the session had ended',
    );
  });

  it('is judged by a reader that finds a false record, a lost file and a false success', async () => {
    const one = await world.fresh();
    const honest = modes[0] as Mode;
    expect(await playMode(one, honest, await startMove(one))).toBe('moved');
    expect(await wrongWith(one, honest, 'moved')).toEqual([]);
    expect((await wrongWith(one, honest, 'not-moved')).join('\n')).toContain('lies on LocalDS_1');
    const stale = { ...one, disks: one.disks.map((d) => ({ ...d, content: 'gone' })) };
    expect((await wrongWith(stale, honest, 'moved')).join('\n')).toContain('are lost');
    const text = (await one.system.inventory.definition(one.id))?.text ?? '';
    await one.system.inventory.redefineVm(one.id, (await one.system.inventory.vm(one.id))?.version ?? 0, {
      ...{ text, disks: one.record.shape.disks, readFrom: one.record.hostId },
      readAt: new Date().toISOString(),
    });
    expect((await wrongWith(one, honest, 'moved')).join('\n')).toContain('the record says');
  });
});

const title = ({ kind, call, when }: Cut): string =>
  kind === 'abort' ? `aborted right ${when} ${call}` : `its session dropped right ${when} ${call}`;

if (soak)
  describeOnVcenter.each(modes)('$name, interrupted', (mode) => {
    beforeAll(() => begin(cuts.length));
    afterAll(() => world.close());
    it.each(cuts.map((cut) => [title(cut), cut] as const))('%s', async (_, cut) => {
      expect(await interrupted(mode, cut)).toEqual([]);
    });
  });
else
  describeOnVcenter('a volume move, interrupted', () => {
    const cases = seededSample(product, 8);
    beforeAll(() => begin(cases.length));
    afterAll(() => world.close());
    it.each(cases.map(({ mode, cut }) => [`${mode.name}, ${title(cut)}`, mode, cut] as const))(
      `%s [seed ${sampleSeed}]`,
      async (_, mode, cut) => {
        expect(await interrupted(mode, cut)).toEqual([]);
      },
    );
  });
