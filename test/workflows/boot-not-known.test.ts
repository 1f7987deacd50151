/** A host that is alive again, and whose boot id nobody can tell: its own list of VMs does. */
import { judge } from '../support/judge';
import { discover } from '../support/recovery-system';
import { eventually, statusOf, systems, untilPhase } from '../support/story';

const begin = systems();

/** Host commands never answered, so no boot id was ever read. */
async function beginWithoutBootIds() {
  const system = await begin({ discover: false });
  for (const { id } of system.spec.hosts) system.controls.setCommands(id, 'silent');
  await discover(system.ports, system.fleet);
  expect((await system.inventory.host(system.host('a')))?.bootId).toBeUndefined();
  return system;
}

it('brings the VMs back that a reboot took down, although no boot id is known', async () => {
  const system = await beginWithoutBootIds();
  const a = system.host('a');
  system.controls.cutPower(a);
  system.controls.powerOn(a);
  system.controls.setCommands(a, 'reachable');
  const result = await (await system.recoverHost('a')).result();
  expect(result).toMatchObject({ outcome: 'recovered', sentence: 'all 2 VMs run again' });
  expect(result.vms.map((v) => v.target)).toEqual([a, a]);
  await judge(system);
});

it('touches nothing on a host that is well and whose boot id is not known', async () => {
  const system = await beginWithoutBootIds();
  const result = await (await system.recoverHost('a')).result();
  expect(result).toMatchObject({ outcome: 'dismissed' });
  await judge(system);
});

it('brings them back as well when only the present boot id cannot be read', async () => {
  const system = await begin();
  const a = system.host('a');
  system.controls.cutPower(a);
  system.controls.powerOn(a);
  system.controls.setCommands(a, 'silent');
  const run = await system.recoverHost('a');
  await untilPhase(run, 'restarting');
  system.controls.setCommands(a, 'reachable');
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('is dismissed by no guess: while the list cannot be read, the incident goes on looking', async () => {
  const system = await beginWithoutBootIds();
  const a = system.host('a');
  system.controls.cutPower(a);
  system.controls.powerOn(a);
  system.controls.addRule({
    ...{ id: 'no-list', port: 'hypervisor', call: 'list', target: a },
    then: { kind: 'fail-before', fault: { code: 'LIST_INCOMPLETE', facts: { host: a, detail: 'by order' } } },
  });
  const run = await system.recoverHost('a');
  await eventually('several lists asked for', () => system.controls.struck('no-list') >= 3);
  expect(await statusOf(run)).toMatchObject({ phase: 'suspect' });
  system.controls.setCommands(a, 'reachable');
  system.controls.clearRule('no-list');
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});
