/** A move by the command that people use, on the vCenter simulator: what it says while it goes on, and what it exits with. */
import { exitCodes } from '../../client/cli/exit-codes';
import { run, sessionOn } from '../support/command-line';
import { describeOnVcenter } from '../support/vcenter';
import { type MoveCase, moveWorld, target, wrongWith } from '../support/vcenter-moves';

describeOnVcenter('vmedic vm migrate-volume', () => {
  const order = ({ system: { inventory, fleet, client, taskQueue }, record, disks }: MoveCase) => {
    const which = disks.flatMap((d) => ['--disk', d.uuid]);
    const argv = ['vm', 'migrate-volume', record.name, ...which, '--to', target, '--wait'];
    return run(argv, { open: sessionOn({ inventory, fleet, client, taskQueue }) });
  };

  it('exits well only where the disks were read at their new place, and says how far it came', async () => {
    const world = await moveWorld(2);
    try {
      const honest = await world.fresh();
      await honest.system.sim.plan({ vm: honest.vm, preset: 'slow', ms: 400, times: 1 });
      const moved = await order(honest);
      expect(moved.exit).toBe(exitCodes.done);
      expect(moved.stdout).toContain('moved; read back: moved');
      expect(moved.stderr).toMatch(
        /read before anything is done[^]*copying[^]*recorded as read back[^]*cleaning/,
      );
      expect(await wrongWith(honest, { name: 'by command', ends: 'moved' }, 'moved')).toEqual([]);

      const lied = await world.fresh();
      await lied.system.sim.plan({ vm: lied.vm, preset: 'lie', times: 1 });
      const not = await order(lied);
      expect(not.exit).toBe(exitCodes.partly);
      expect(not.stdout).toMatch(/^Not moved: [^]*its task ended as "done"; read back: where it was/);
      expect(await wrongWith(lied, { name: 'by command', ends: 'not-moved' }, 'not-moved')).toEqual([]);
    } finally {
      await world.close();
    }
  });
});
