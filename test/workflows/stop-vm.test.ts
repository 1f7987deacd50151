/** A shutdown that was asked of VMedic is nobody's failure: the VM stays down until it is started, whatever its policy says. */
import { stopVm } from '../../client/stop-vm';
import { RecoveryClient } from '../../client/recovery-client';
import { workflowIds } from '../../domain/ids';
import { judge } from '../support/judge';
import { quickPolicy, type RecoverySystem } from '../support/recovery-system';
import { eventually, runsOn, systems, watchRounds } from '../support/story';

const begin = systems();
const request = { source: 'operator', by: 'alice', reason: 'its disk is being replaced' } as const;
const doorOf = ({ client, inventory, fleet, taskQueue }: RecoverySystem) => ({
  ...{ client, inventory, fleet, taskQueue },
  address: 'the test server',
});

/** The policy would start it again within milliseconds. */
const restarting = {
  policy: { watch: { ...quickPolicy.watch, vmGraceMs: 20, guestShutdown: 'restart' } },
} as const;

it('stays down although the policy is to restart, also when its host fails, and runs again once it is started', async () => {
  const system = await begin(restarting);
  await system.watch();
  const vm = system.vm('vm-001');
  const stopping = await stopVm(doorOf(system), 'vm-001', request);
  expect(await stopping.result()).toMatchObject({ kind: 'stopped' });
  await watchRounds(system, 'a', 10);
  expect(runsOn(system, vm)).toEqual([]);
  expect((await system.inventory.vm(vm))?.desired).toBe('stopped');
  expect(await system.inventory.incidents()).toEqual([]);
  expect(await system.inventory.alerts({ open: true })).toEqual([]);
  system.controls.cutPower(system.host('a'));
  await eventually('the recovery of its host', async () =>
    (await system.inventory.incidents({ hostId: system.host('a') })).find((i) => i.closedAt !== undefined),
  );
  expect(runsOn(system, vm)).toEqual([]);
  await new RecoveryClient(doorOf(system)).restartVm('vm-001', request);
  const run = system.client.workflow.getHandle(workflowIds.vm(vm));
  expect(await run.result()).toMatchObject({ phase: 'running' });
  expect((await system.inventory.vm(vm))?.desired).toBe('running');
  await judge(system);
});

it('says who wanted it while it is under way, and is one run however often it is asked for', async () => {
  const system = await begin(restarting);
  await system.watch();
  const vm = system.vm('vm-001');
  system.controls.freezeGuest(system.host('a'), vm, true);
  const first = await stopVm(doorOf(system), 'vm-001', request);
  const alert = await eventually('it is told', async () =>
    (await system.inventory.alerts({ open: true })).find((a) => a.key === `stopping:${vm}`),
  );
  expect(alert.sentence).toContain('alice: its disk is being replaced');
  expect((await stopVm(doorOf(system), vm, request)).runId).toBe(first.runId);
  await watchRounds(system, 'a', 10);
  expect((await system.inventory.vm(vm))?.desired).toBe('stopped');
  await expect(new RecoveryClient(doorOf(system)).restartVm('vm-001', request)).resolves.toMatchObject({
    ...{ answer: 'busy', type: 'stopVm' },
  });
  await system.client.workflow.getHandle(first.workflowId).terminate('the test is over');
});

it('goes on being wanted when its guest does not react: nothing is forced', async () => {
  const system = await begin();
  const vm = system.vm('vm-001');
  system.controls.freezeGuest(system.host('a'), vm, true);
  const run = await system.client.workflow.start('stopVm', {
    ...{ workflowId: workflowIds.vm(vm), taskQueue: system.taskQueue },
    args: [{ vmId: vm, name: 'vm-001', by: 'alice', reason: 'test', patienceMs: 300 }],
  });
  expect(await run.result()).toMatchObject({
    kind: 'still-running',
    sentence: expect.stringContaining('Nothing was forced') as string,
  });
  expect(runsOn(system, vm)).toEqual([system.host('a')]);
  expect((await system.inventory.vm(vm))?.desired).toBe('running');
  expect(await system.inventory.alerts({ open: true })).toEqual([]);
  await judge(system);
});

it('is not down because its own host does not run it: moved by hand, it is found and shut down where it is', async () => {
  const system = await begin();
  const vm = system.vm('vm-001');
  system.controls.migrateByHand(system.host('a'), system.host('b'), vm);
  system.controls.setNetwork(system.host('b'), 'cut');
  const order = (n: number) =>
    system.client.workflow.execute('stopVm', {
      ...{ workflowId: workflowIds.vm(vm), taskQueue: system.taskQueue },
      args: [{ vmId: vm, name: 'vm-001', by: 'alice', reason: `test ${n}`, patienceMs: 600 }],
    });
  // Where nobody can look it may be down: wanted again, it would be started against the word of whoever shut it down.
  expect(await order(1)).toMatchObject({
    ...{ kind: 'still-running', notKnown: true },
    sentence: expect.stringContaining('not known whether vm-001 has stopped') as string,
  });
  expect((await system.inventory.vm(vm))?.desired).toBe('stopped');
  system.controls.setNetwork(system.host('b'), 'up');
  await order(2);
  await eventually('it is down', () => runsOn(system, vm).length === 0);
  expect(await order(3)).toMatchObject({ kind: 'stopped' });
});
