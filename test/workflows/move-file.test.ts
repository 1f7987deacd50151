/** Moves of a disk that belongs to no VM: of a file that nobody must need. */
import { RecoveryClient } from '../../client/recovery-client';
import { poolId } from '../../domain/ids';
import { definitionText } from '../../drivers/simulated/definition-text';
import { noVm } from '../../drivers/simulated/volume-works';
import type { migrateVolume } from '../../workflows';
import { failureTypes } from '../../workflows/inputs';
import { abortUpdate, resolveStuckUpdate } from '../../workflows/messages';
import { untilMovePhase } from '../support/moves';
import type { RecoverySystem } from '../support/recovery-system';
import { eventually, failureOf, said, systems } from '../support/story';

const begin = systems();

const filesOf = (system: RecoverySystem): string[] => system.controls.snapshot().disks.map((d) => d.path);

/** A file on the first pool that no VM names. */
function looseFile(system: RecoverySystem): string {
  const pool = system.spec.pools[0]!;
  const path = `${pool.path}/old-web.qcow2`;
  system.controls.makeDisk({ device: 'vda', path, poolId: pool.id });
  return path;
}

const clientOf = ({ client, inventory, fleet, taskQueue }: RecoverySystem): RecoveryClient =>
  new RecoveryClient({ client, inventory, fleet, taskQueue, address: 'here' });

const request = { source: 'operator', by: 'alice', reason: 'the pool is given back' } as const;
const second = (system: RecoverySystem): string => system.spec.pools[1]!.id;

async function ordered(system: RecoverySystem, path: string) {
  const answer = await clientOf(system).moveFile(path, second(system), request);
  if (answer.answer !== 'started') throw new Error(`it answers ${answer.answer}`);
  return { ...answer, run: system.client.workflow.getHandle<typeof migrateVolume>(answer.workflowId) };
}

const two = { hosts: 2, vmsPerHost: 1, secondPool: true, storage: 'dir' } as const;

it('is moved under an ID of its own, which refuses other work, and its old place is gone', async () => {
  const system = await begin({ ...two, costs: { copyMs: 400 } });
  const path = looseFile(system);
  const { run, workflowId, incidentId } = await ordered(system, path);
  expect(workflowId).toMatch(/^disk:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  await untilMovePhase(run, 'copying');
  const client = clientOf(system);
  expect(await client.moveFile(path, second(system), request)).toMatchObject({ answer: 'same', open: true });
  expect(await client.moveFile(path, system.spec.pools[0]!.id, request)).toMatchObject({ answer: 'busy' });
  const { disks, phase } = await run.result();
  expect(phase).toBe('moved');
  expect(disks).toMatchObject([{ disk: 'old-web.qcow2', at: { poolId: poolId(second(system)) } }]);
  expect(filesOf(system)).toContain(disks[0]?.at.path);
  expect(filesOf(system)).not.toContain(path);
  expect(await system.inventory.incident(incidentId)).toMatchObject({
    ...{ target: { kind: 'disk' }, outcome: 'moved', workflowId },
  });
});

it('is one disk by whichever of its names, where it is a logical volume', async () => {
  const system = await begin({ ...two, storage: 'lvm', costs: { copyMs: 400 } });
  const [pool] = system.spec.pools;
  const [group = '', name] = [pool!.path.split('/').at(-1), 'old-db'];
  const path = `/dev/${group}/${name}`;
  system.controls.makeDisk({ device: 'vda', path, poolId: pool!.id });
  const mapped = `/dev/mapper/${group.replaceAll('-', '--')}-${name.replaceAll('-', '--')}`;
  const { run } = await ordered(system, mapped);
  await untilMovePhase(run, 'copying');
  expect(await clientOf(system).moveFile(path, second(system), request)).toMatchObject({ answer: 'same' });
  expect(await run.result()).toMatchObject({ phase: 'moved' });
  expect(filesOf(system)).not.toContain(path);
});

describe('is not touched while', () => {
  async function refusal(system: RecoverySystem, path: string): Promise<string> {
    const before = filesOf(system);
    const { type, message } = await failureOf(await system.moveFile(path));
    expect(type).toBe(failureTypes.compensated);
    expect(filesOf(system)).toEqual(before);
    return message;
  }

  it('a record of a VM names it, though no host does', async () => {
    const system = await begin(two);
    const vm = system.spec.vms[0]!;
    system.controls.shutDownGuest(vm.hostId, vm.id);
    system.controls.undefineByHand(vm.hostId, vm.id);
    expect(await refusal(system, vm.disks[0]!.path)).toContain(`the record of ${vm.name} names it`);
  });

  it('a definition on any host names it, though no record does', async () => {
    const system = await begin(two);
    const path = looseFile(system);
    const [vm, pool] = [system.spec.vms[1]!, system.spec.pools[0]!.id];
    const disks = [...vm.disks, { device: 'vdb', path, poolId: pool }];
    system.controls.defineByHand(vm.hostId, vm.id, vm.name, definitionText({ ...vm, disks }));
    const message = await refusal(system, path);
    expect(message).toContain(`the definition of ${vm.name} on ${vm.hostId} names it`);
    expect(message).toContain('vmedic vm migrate-volume');
  });

  it('a host does not answer: it may be the one that needs it', async () => {
    const system = await begin(two);
    const path = looseFile(system);
    system.controls.killDaemon(system.host('b'));
    expect(await refusal(system, path)).toContain(system.host('b'));
  });
});

it('is where it was, and its copy is gone, when a person aborts the move', async () => {
  const system = await begin(two);
  const path = looseFile(system);
  const before = filesOf(system);
  system.controls.setMoveManner(noVm, 'hangs');
  const { run, incidentId } = await ordered(system, path);
  await untilMovePhase(run, 'copying');
  await run.executeUpdate(abortUpdate, { args: [said('the pool stays')] });
  expect((await failureOf(run)).message).toContain('the pool stays');
  expect(filesOf(system)).toEqual(before);
  expect(await system.inventory.incident(incidentId)).toMatchObject({ outcome: 'not-moved' });
});

describe('keeps its old place, and a person is asked, when meanwhile', () => {
  it.each(['a VM has come to name it', 'it differs from its copy'] as const)('%s', async (what) => {
    const system = await begin({ ...two, costs: { copyMs: 300 } });
    const path = looseFile(system);
    if (what === 'it differs from its copy') system.controls.setMoveManner(noVm, 'corrupts-copy');
    const run = await system.moveFile(path);
    await untilMovePhase(run, 'copying');
    const [vm, pool] = [system.spec.vms[1]!, system.spec.pools[0]!.id];
    const disks = [...vm.disks, { device: 'vdb', path, poolId: pool }];
    if (what === 'a VM has come to name it')
      system.controls.defineByHand(vm.hostId, vm.id, vm.name, definitionText({ ...vm, disks }));
    const stuck = await untilMovePhase(run, 'stuck');
    expect(stuck.fault?.code).toBe('NOT_REMOVED');
    expect(filesOf(system)).toContain(path);
    const next = await eventually(
      'a next command',
      async () => (await system.inventory.incidents({ open: true }))[0]?.nextCommand,
    );
    expect(next).toMatch(/^vmedic incident resolve disk-[0-9a-f-]+-1 --retry --reason "\.\.\."$/);
    await run.executeUpdate(resolveStuckUpdate, {
      args: [{ ...said('I see to it'), resolution: 'give-up' }],
    });
    await run.result();
    expect(filesOf(system)).toContain(path);
    const alerts = await system.inventory.alerts({ open: true });
    expect(alerts.map((a) => a.sentence).join()).toContain(`${path} was left behind`);
  });
});
