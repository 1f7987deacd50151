/**
 * The worker is killed (SIGKILL, a real process) right before and right after each call of a move, while the vCenter, a process of its own, goes on
 * in each of its modes. The run re-attaches to what was begun: nothing is sent twice, the record names what is, no bytes are lost. CI runs a sample
 * that the date seeds; `make soak` every mode and moment, those of one mode side by side, so that each also meets the deaths meant for the others.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mulberry32 } from '../../drivers/simulated/sample-world';
import { type Mode, modes } from '../support/move-modes';
import { sampleSeed } from '../support/seeded-sample';
import { SupervisedWorker } from '../support/supervised-worker';
import { describeOnVcenter } from '../support/vcenter';
import { type At, moveCalls, strikeFile } from '../support/vcenter-hooks';
import {
  contextOf,
  moveWorld,
  type MoveWorld,
  playMode,
  startMove,
  wrongWith,
} from '../support/vcenter-moves';

const soak = process.env['VMEDIC_SOAK'] === 'true';

/** Before the order is sent, with the intent written; before the record is switched; and after each call, with its answer known to nobody. */
const moments: readonly At[] = [
  { call: 'submit', when: 'before' },
  { call: 'record', when: 'before' },
  ...moveCalls.map((call) => ({ call, when: 'after' }) as const),
];

describeOnVcenter('a volume move whose worker is killed', () => {
  let world: MoveWorld;
  let worker: SupervisedWorker;
  let folder: string;

  async function begin(vms: number): Promise<void> {
    world = await moveWorld(vms, { worker: 'elsewhere' });
    folder = mkdtempSync(join(tmpdir(), 'vm-kill-'));
    writeFileSync(join(folder, 'worker.json'), JSON.stringify(world.system.elsewhere), { mode: 0o600 });
    worker = new SupervisedWorker([folder], 'vcenter-worker-main.ts');
  }

  afterEach(async () => {
    await worker.end();
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What went wrong, each with the moment of the death. */
  async function survived(mode: Mode, at: At): Promise<string[]> {
    const one = await world.fresh();
    const { sim } = world.system;
    await mode.before?.({ ...contextOf(one), abort: () => Promise.resolve() });
    if (mode.plan !== undefined) await sim.plan({ vm: one.vm, ...mode.plan });
    writeFileSync(strikeFile(folder, at, one.id), '');
    const ending = await playMode(one, mode, await startMove(one));
    const wrong = await wrongWith(one, mode, ending);
    // An order of which nobody knows whether it was sent is never sent again, so it may stay undone.
    if (ending !== mode.ends && ending !== 'not-moved') wrong.push(`it ended as ${ending}`);
    if (mode.name === 'stock' && ending === 'moved') wrong.push('the stock relocation was believed');
    return wrong.map((w) => `killed ${at.when} ${at.call}: ${w}`);
  }

  const asked = (): number => readdirSync(folder).filter((f) => /^(before|after)-/.test(f)).length;

  if (soak)
    it.each(modes)('at every moment: $name', async (mode) => {
      await begin(moments.length);
      const wrong = await Promise.all(moments.map((at) => survived(mode, at)));
      await mode.after?.({
        sim: world.system.sim,
        vm: '',
        target: 'LocalDS_1',
        abort: () => Promise.resolve(),
      });
      expect(wrong.flat()).toEqual([]);
      // A moment that a mode never comes to (nothing to remove, nothing submitted) kills nobody.
      expect(worker.deaths).toBe(moments.length - asked());
      expect(worker.deaths).toBeGreaterThanOrEqual(mode.name === 'target full' ? 1 : 3);
    });
  else {
    const random = mulberry32(sampleSeed);
    const cases = ['honest', 'half, says done'].map((name) => ({
      mode: modes.find((m) => m.name === name) as Mode,
      at: moments[Math.floor(random() * (moments.length - 1))] as At,
    }));
    it.each(cases)(`$at.when $at.call, $mode.name [seed ${sampleSeed}]`, async ({ mode, at }) => {
      await begin(1);
      expect(await survived(mode, at)).toEqual([]);
      expect([asked(), worker.deaths]).toEqual([0, 1]);
    });
  }
});
