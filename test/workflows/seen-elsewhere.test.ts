/** A VM that runs, or is kept, where its record does not say: it is found before anything is started, whoever moved it and however lately. */
import { judge } from '../support/judge';
import type { RecoverySystem } from '../support/recovery-system';
import { actsOn, failureOf, systems } from '../support/story';

const begin = systems();

/** No image locks between hosts: whoever starts the VM twice has two writers. The watch has had no round since the move. */
async function movedUnseen(to: string): Promise<RecoverySystem> {
  const system = await begin();
  system.controls.setLockless(system.spec.pools[0]!.id, true);
  system.controls.migrateByHand(system.host('a'), system.host(to), system.vm('vm-001'));
  return system;
}

describe('a VM that somebody migrated a moment before', () => {
  it('its old host failed is not started a second time', async () => {
    const system = await movedUnseen('c');
    system.controls.cutPower(system.host('a'));
    const result = await (await system.recoverHost('a')).result();
    expect(result.vms.find((v) => v.name === 'vm-001')).toMatchObject({ target: system.host('c') });
    await judge(system);
  });

  it('its old host rebooted by itself is not started a second time', async () => {
    const system = await movedUnseen('c');
    system.controls.cutPower(system.host('a'));
    system.controls.powerOn(system.host('a'));
    const result = await (await system.recoverHost('a')).result();
    expect(result.vms.find((v) => v.name === 'vm-001')).toMatchObject({ target: system.host('c') });
    await judge(system);
  });

  it.each([undefined, 'b'])('a restart on %s was ordered is not started a second time', async (letter) => {
    const system = await movedUnseen('c');
    const target = letter === undefined ? undefined : system.host(letter);
    const run = await system.restartVm('vm-001', { target });
    await expect(run.result()).resolves.toMatchObject({ phase: 'running', target: system.host('c') });
    await judge(system);
  });
});

it('does not throw away a memory image that somebody saved: the VM is neither started elsewhere nor undefined', async () => {
  const system = await begin();
  const [vm, a] = [system.vm('vm-001'), system.host('a')];
  system.controls.shutDownGuest(a, vm);
  const saved = { vmId: vm, name: 'vm-001', state: 'shut-off', reason: 'saved', persistent: true };
  system.controls.addRule({
    ...{ id: 'saved', port: 'hypervisor', call: 'list', target: a },
    then: { kind: 'lie', answer: { vms: [{ ...saved, savedImage: true }] } },
  });
  const run = await system.restartVm('vm-001', { target: system.host('b') });
  expect((await failureOf(run)).message).toContain(`its memory image is saved on ${a}`);
  expect(actsOn(system)).toEqual([]);
});
