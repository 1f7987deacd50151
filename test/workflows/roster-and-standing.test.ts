/** What may change between an incident's beginning and its acts: the VMs on the host, and how the host stood before. */
import { attestFencedUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import { said, systems } from '../support/story';
import { unfencedRecovery } from '../support/unfenced';

const begin = systems();

it('brings back a VM that the host took while it was waited for a proof', async () => {
  const system = await begin();
  const [a, b] = [system.host('a'), system.host('b')];
  const [vm] = system.vmsOf('b');
  if (vm === undefined) throw new Error('no VM on b');
  system.controls.migrateByHand(b, a, vm);
  const { run } = await unfencedRecovery(system, 'a', 'dark');
  const record = await system.inventory.vm(vm);
  await system.inventory.updateVm(vm, record?.version ?? 0, { hostId: a });
  await run.executeUpdate(attestFencedUpdate, { args: [said()] });
  const result = await run.result();
  expect(result).toMatchObject({ outcome: 'recovered', sentence: 'all 3 VMs run again' });
  expect(result.vms.map((v) => v.vmId).sort()).toEqual([...system.vmsOf('a'), vm].sort());
  await judge(system);
});

it.each(['quarantined', 'maintenance', 'in-service'] as const)(
  'leaves a host %s, as it stood before, when its fence ends because it is alive',
  async (standing) => {
    const system = await begin();
    const a = system.host('a');
    const record = await system.inventory.host(a);
    await system.inventory.updateHost(a, record?.version ?? 0, { standing });
    const run = await system.fenceHost('a', { evenIf: undefined });
    await expect(run.result()).resolves.toMatchObject({ kind: 'alive-again' });
    expect(await system.inventory.host(a)).toMatchObject({ standing });
    await judge(system);
  },
);
