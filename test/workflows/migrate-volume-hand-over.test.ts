/** A move and a recovery of the same VM: the server lets one of them hold the ID, and what holds it hears of the host's failure. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { RecoveryClient } from '../../client/recovery-client';
import { workflowIds } from '../../domain/ids';
import type { SampleOptions } from '../../drivers/simulated';
import { judge } from '../support/judge';
import { begunOf, judgeMove, placesOf, poolOf, recordedPaths, untilMovePhase } from '../support/moves';
import type { RecoverySystem } from '../support/recovery-system';
import { temporalAddress } from '../support/servers';
import { systems } from '../support/story';

const begin = systems();
const three = { hosts: 3, vmsPerHost: 1, secondPool: true } as const satisfies Partial<SampleOptions>;

const frontDoor = (s: RecoverySystem): RecoveryClient =>
  new RecoveryClient({
    ...{ client: s.client, inventory: s.inventory, fleet: s.fleet },
    ...{ taskQueue: s.taskQueue, address: temporalAddress() },
  });

const request = { by: 'tester', reason: 'test', source: 'operator' } as const;

it('keeps a restart and a move of one VM apart on the server, whoever comes first', async () => {
  const system = await begin({ ...three });
  system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
  const door = frontDoor(system);
  const to = poolOf(system, 'second');
  const move = await door.migrateVolume('vm-001', 'vda', to, request);
  expect(move).toMatchObject({ answer: 'started', type: 'migrateVolume' });
  await expect(system.restartVm('vm-001')).rejects.toThrow(WorkflowExecutionAlreadyStartedError);
  const run = system.client.workflow.getHandle(workflowIds.vm(system.vm('vm-001')));
  await untilMovePhase(run, 'copying');
  expect(await door.restartVm('vm-001', request)).toMatchObject({ answer: 'busy', type: 'migrateVolume' });
  expect(await door.migrateVolume('vm-001', 'vda', to, request)).toMatchObject({
    answer: 'same',
    open: true,
  });
  expect(await door.migrateVolume('vm-001', 'vda', poolOf(system, 'first'), request)).toMatchObject({
    answer: 'busy',
  });
  system.controls.endMoves(system.vm('vm-001'));
  await expect(run.result()).resolves.toMatchObject({ phase: 'moved' });
  expect(begunOf(system, 'vm-001')).toBe(1);
  await judgeMove(system, 'vm-001');
});

it.each(['dir', 'vmfs'] as const)(
  'on a %s pool, gives way when the host fails: back where it was, then started elsewhere under the same ID',
  async (storage) => {
    const system = await begin({ ...three, storage });
    system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
    const run = await system.migrateVolume('vm-001');
    await untilMovePhase(run, 'copying');
    const recorded = await recordedPaths(system, 'vm-001');
    system.controls.cutPower(system.host('a'));
    const incident = await system.recoverHost('a');
    await expect(incident.result()).resolves.toMatchObject({ outcome: 'recovered' });
    await expect(run.result()).resolves.toMatchObject({ phase: 'running' });
    expect(await recordedPaths(system, 'vm-001')).toEqual(recorded);
    expect((await system.inventory.incidents({ vmId: system.vm('vm-001') }))[0]).toMatchObject({
      outcome: 'not-moved',
    });
    await judge(system);
  },
);

it.each(['switchOver', 'letGo'] as const)('loses nothing when the host dies right after %s', async (call) => {
  const system = await begin({ ...three, storage: 'dir' });
  const [before] = placesOf(system, 'vm-001');
  system.controls.addRule({
    ...{ id: 'cut', port: 'volumeMoves', call, times: 1 },
    then: { kind: 'world', when: 'after', control: 'cutPower', args: [system.host('a')] },
  });
  const run = await system.migrateVolume('vm-001');
  await expect(
    (async () => {
      while (system.controls.struck('cut') === 0) await new Promise((r) => setTimeout(r, 20));
      return (await system.recoverHost('a')).result();
    })(),
  ).resolves.toMatchObject({ outcome: 'recovered' });
  await run.result();
  const [path] = await recordedPaths(system, 'vm-001');
  const disk = system.controls.snapshot().disks.find((d) => d.path === path);
  expect(disk?.writes.map((w) => w.boot)).toEqual(expect.arrayContaining([...(before?.boots ?? [])]));
  await judge(system);
});
