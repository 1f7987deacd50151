import { recoverySystem, type RecoverySystem } from '../support/recovery-system';

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
  const { processes } = system.controls.snapshot();
  for (const vm of vms) {
    const where = processes.filter((p) => p.vmId === vm && p.endedSeq === undefined).map((p) => p.hostId);
    expect(where).toHaveLength(1);
    expect(where).not.toContain(system.host('a'));
  }
});
