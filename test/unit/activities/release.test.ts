/** A release of a dead host's locks at the deadlines of production, with a clock that is moved by hand. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { environment } from '../../../activities/environment';
import type { Ports } from '../../../activities/ports';
import { releaseActivities, type ReleaseResult } from '../../../activities/release';
import { evidenceFromReadings, type FenceEvidence } from '../../../domain/evidence';
import { DriverFault } from '../../../domain/faults';
import type { Fleet, Pool } from '../../../domain/fleet';
import {
  clusterId,
  evidenceId,
  fenceDeviceId,
  hostId,
  incidentId,
  type PoolId,
  poolId,
  vmId,
} from '../../../domain/ids';
import { defaultPolicy, limits } from '../../../domain/limits';

const a = hostId('hv-a');
const [silent, healthy] = ['silent', 'healthy'].map(poolId) as [PoolId, PoolId];
const device = { id: fenceDeviceId('bmc-a'), agent: 'x' };
const incident = incidentId({ kind: 'host', hostId: a }, 1);
const poolOf = (id: PoolId): Pool => ({ id, type: 'nfs', path: `/${id}`, lockStrategy: 'nfs3-notify' });
const level = { name: 'bmc', devices: [device] };
const fleet = {
  pools: [silent, healthy].map(poolOf),
  clusters: [
    {
      ...{ id: clusterId('one'), mode: 'automatic', policy: defaultPolicy, vms: {} },
      hosts: [{ id: a, fenceLevels: [level], pools: [silent, healthy] }],
    },
  ],
} as unknown as Fleet;
const disk = (id: PoolId, more = {}) => ({
  ...{ device: 'vda', path: `/${id}/image`, format: 'raw', poolId: id, shareable: false, ...more },
});

function releasing(pools: readonly PoolId[], more: { alone?: true; disks?: object[] } = {}) {
  const told: string[] = [];
  const asked: string[] = [];
  const disks = more.disks ?? pools.map((id) => disk(id));
  const at = new Date().toISOString();
  const evidence = evidenceFromReadings(
    { id: evidenceId(incident, 1), hostId: a, incidentId: incident },
    level,
    [{ hostId: a, deviceId: device.id, agent: 'x', power: 'off', observedAt: at }] as never,
  ) as FenceEvidence;
  const ports = {
    inventory: {
      vms: () => Promise.resolve([{ vmId: vmId('one'), hostId: a, shape: { disks } }]),
      evidence: () => Promise.resolve(evidence),
      updateIncident: (_: string, { summary }: { summary: string }) => Promise.resolve(told.push(summary)),
      appendTimeline: (_: string, [{ key }]: [{ key: string }]) => {
        const before = asked.includes(key);
        asked.push(key);
        return Promise.resolve(before ? [key] : []);
      },
    },
    storageLocks: {
      strategies: ['nfs3-notify'],
      list: (id: PoolId) => {
        asked.push(id);
        if (id === silent) throw new DriverFault('HOST_COMMAND_FAILED', { host: 'nfs', detail: 'no answer' });
        return Promise.resolve({ poolId: id, observedAt: at, knows: 'locks', locks: [] });
      },
      release: () => Promise.resolve(),
    },
  } as unknown as Ports;
  const { releaseHostLocks } = releaseActivities(environment(ports, fleet));
  const order = { hostId: a, incidentId: incident, evidence, vmIds: [vmId('one')], ...more };
  const done: Promise<ReleaseResult> = new MockActivityEnvironment(
    {},
    { logger: new DefaultLogger('ERROR') },
  ).run(releaseHostLocks as never, { ...order, mode: 'rehearse' } as never);
  return { done, told, asked };
}

beforeEach(() => jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] }));
afterEach(() => jest.useRealTimers());

it('keeps nobody waiting for a silent pool but its own VMs', async () => {
  const begunMs = Date.now();
  const result = await releasing([silent, healthy]).done;
  expect(Date.now()).toBe(begunMs);
  expect(result).toEqual({
    kind: 'free',
    sentences: [expect.stringContaining('its VMs wait'), expect.stringContaining('holds no locks')],
  });
});

it.each([
  ['with no other pool to go on with', [silent], {}],
  ['when a person asked for the release alone', [silent, healthy], { alone: true as const }],
])('gives a silent pool up at the storage deadline, and says so, %s', async (_, pools, more) => {
  const { done } = releasing(pools, more);
  let ended = false;
  void done.finally(() => (ended = true));
  await jest.advanceTimersByTimeAsync(defaultPolicy.storageDeadlineMs - 2_000);
  expect(ended).toBe(false);
  await jest.advanceTimersByTimeAsync(4_000);
  await expect(done).resolves.toMatchObject({ kind: 'blocked', faults: [{ code: 'HOST_COMMAND_FAILED' }] });
});

it('has an activity that outlives its deadline: one that is cut off begins its deadline anew, for ever', () => {
  expect(limits.storageWaitMsMax).toBeGreaterThan(2 * defaultPolicy.storageDeadlineMs);
});

it.each(['shareable', 'readonly'])(
  'asks nobody who holds a disk that is %s: others may, by right',
  async (how) => {
    const { done, asked } = releasing([healthy], { disks: [disk(healthy, { [how]: true })] });
    await expect(done).resolves.toEqual({ kind: 'free', sentences: [] });
    expect(asked).toEqual([]);
  },
);
