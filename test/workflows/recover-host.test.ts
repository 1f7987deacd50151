import { recoverySystem, type RecoverySystem } from '../support/recovery-system';
import { runsOn } from '../support/story';

let system: RecoverySystem | undefined;
afterEach(async () => {
  await system?.close();
  system = undefined;
});

it('brings every VM of a dead host back elsewhere, exactly once', async () => {
  system = await recoverySystem({ hosts: 3, vmsPerHost: 3 });
  const vms = system.vmsOf('a');
  system.controls.cutPower(system.host('a'));
  const run = await system.recoverHost('a');
  const result = await run.result();
  expect(result).toMatchObject({ outcome: 'recovered', sentence: 'all 3 VMs run again' });
  for (const vm of vms) {
    const where = runsOn(system, vm);
    expect(where).toHaveLength(1);
    expect(where).not.toContain(system.host('a'));
  }
});
