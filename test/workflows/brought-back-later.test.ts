/** VMs that could not be brought back are taken up again by the watch once there is a place for them: nobody types, and nobody is told twice. */
import type { VmId } from '../../domain/ids';
import { sampleWorld } from '../../drivers/simulated/sample-world';
import type { WorldSpec } from '../../drivers/simulated/world-spec';
import { abortUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import { quickPolicy, type RecoverySystem } from '../support/recovery-system';
import { actsOn, eventually, runsOn, said, systems, watchRounds } from '../support/story';

const begin = systems();

/** hv-b and hv-c can take one VM each beside their own: of the two of hv-a one finds no room when another is in the way. */
const tight =
  (room: number, mode: 'automatic' | 'observe' = 'automatic') =>
  (prefix: string): WorldSpec => {
    const world = sampleWorld({ hosts: 3, vmsPerHost: 2, prefix, mode, policy: quickPolicy });
    const [a, b, c] = world.hosts;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three hosts');
    const roomFor = (host: typeof a, vms: number) => ({
      ...host,
      capacity: { memoryMiB: vms * 4, vcpus: 100 },
    });
    return { ...world, hosts: [a, roomFor(b, 2 + room), roomFor(c, 2)] };
  };

const closedHost = (system: RecoverySystem) =>
  eventually('the incident of the host closed', async () =>
    (await system.inventory.incidents({ hostId: system.host('a') })).find((i) => i.closedAt !== undefined),
  );

async function leftWithoutRoom(room = 1) {
  const system = await begin({ spec: tight(room) });
  await system.watch();
  system.controls.cutPower(system.host('a'));
  expect(await closedHost(system)).toMatchObject({ outcome: 'partially-recovered' });
  const down = system.vmsOf('a').filter((vm) => runsOn(system, vm).length === 0);
  return { system, down };
}

/** Somebody shuts a VM of hv-b down for good. */
async function freeRoom(system: RecoverySystem): Promise<VmId> {
  const [other] = system.vmsOf('b') as [VmId];
  system.controls.shutDownGuest(system.host('b'), other);
  const record = await system.inventory.vm(other);
  await system.inventory.updateVm(other, record?.version ?? 0, { desired: 'stopped' });
  return other;
}

it('starts a VM that found no room once a place is free, by one incident, and its alert is over', async () => {
  const { system, down } = await leftWithoutRoom();
  const [vm] = down as [VmId];
  expect(down).toHaveLength(1);
  await watchRounds(system, 'b', 20);
  expect(await system.inventory.incidents({ vmId: vm })).toEqual([]);
  const other = await freeRoom(system);
  const incident = await eventually('its recovery', async () =>
    (await system.inventory.incidents({ vmId: vm })).find((i) => i.closedAt !== undefined),
  );
  expect(incident).toMatchObject({ outcome: 'recovered' });
  expect(incident.triggers[0]?.reason).toContain('can take it now');
  expect(runsOn(system, vm)).toEqual([system.host('b')]);
  await watchRounds(system, 'b', 20);
  expect(await system.inventory.incidents({ vmId: vm })).toHaveLength(1);
  const open = (await system.inventory.alerts({ open: true })).map((a) => a.key);
  expect(open.filter((k) => k.startsWith('vm'))).toEqual([]);
  await judge(system, { down: [other] });
});

it('starts it where it was when its host is readmitted', async () => {
  const { system, down } = await leftWithoutRoom(0);
  const a = system.host('a');
  expect(down).toHaveLength(2);
  system.controls.powerOn(a);
  const back = await eventually('its quarantine', async () => {
    const record = await system.inventory.host(a);
    return record?.standing === 'quarantined' && record;
  });
  await watchRounds(system, 'b', 20);
  expect(down.flatMap((vm) => runsOn(system, vm))).toEqual([]);
  await system.inventory.updateHost(a, back.version, { standing: 'in-service', bootId: undefined });
  await eventually('both run again', () => down.every((vm) => runsOn(system, vm)[0] === a));
  await eventually(
    'their incidents closed',
    async () => (await system.inventory.incidents({ open: true })).length === 0,
  );
  await judge(system);
});

it('takes nothing up that a person has stopped', async () => {
  let reach = (): void => undefined;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  let letGo = (): void => undefined;
  const gone = new Promise<void>((resolve) => (letGo = resolve));
  const system = await begin({
    storage: 'nfs',
    async intercept({ name, act }) {
      const result = await act();
      if (name !== 'releaseHostLocks') return result;
      reach();
      await gone;
      return result;
    },
  });
  system.controls.cutPower(system.host('a'));
  const run = await system.recoverHost('a');
  await reached;
  await run.executeUpdate(abortUpdate, { args: [said('we repair it')] });
  letGo();
  await expect(run.result()).resolves.toMatchObject({ outcome: 'aborted' });
  await system.watch();
  await watchRounds(system, 'b', 30);
  expect(actsOn(system).some((act) => act.startsWith('hypervisor'))).toBe(false);
  expect(await system.inventory.incidents()).toHaveLength(1);
  await judge(system, { down: system.vmsOf('a') });
});
