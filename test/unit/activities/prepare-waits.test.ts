/** A start that waits for its storage, and what changes meanwhile. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { environment } from '../../../activities/environment';
import type { Ports } from '../../../activities/ports';
import { releaseForStart } from '../../../activities/release';
import { restartVmActivities } from '../../../activities/restart-vm';
import type { FenceEvidence } from '../../../domain/evidence';
import { DriverFault } from '../../../domain/faults';
import type { Fleet } from '../../../domain/fleet';
import { clusterId, hostId, incidentId, poolId, vmId } from '../../../domain/ids';
import { defaultPolicy } from '../../../domain/limits';

const host = hostId('hv-a');
const cluster = clusterId('one');
const pool = poolId('shared');
const incident = incidentId({ kind: 'host', hostId: host }, 1);
const disk = { device: 'vda', path: '/shared/a', format: 'raw', poolId: pool, shareable: false };
const vm = { vmId: vmId('one'), name: 'one', clusterId: cluster, hostId: host, shape: { disks: [disk] } };
const fleet = {
  pools: [{ id: pool, type: 'nfs', path: '/shared', lockStrategy: 'nfs3-notify' }],
  clusters: [{ id: cluster, mode: 'automatic', policy: defaultPolicy, vms: {}, hosts: [] }],
} as unknown as Fleet;
const run = <T>(act: () => Promise<T>): Promise<T> =>
  new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(act as never);

it('ends its looks once somebody has disarmed, so that none of them releases a lock', async () => {
  let armed = true;
  const off = { scope: 'fleet', armed: false, by: 'tester', at: new Date().toISOString(), reason: 'a test' };
  const inventory = {
    vm: () => Promise.resolve(vm),
    switches: () => Promise.resolve(armed ? [] : [off]),
    reservations: () => {
      armed = false;
      throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: 'storage is silent' });
    },
  };
  const { prepareStart } = restartVmActivities(environment({ inventory } as unknown as Ports, fleet));
  const basis = { vmId: vm.vmId, incidentId: incident, incidentBeganAt: new Date().toISOString() };
  const order = { ...basis, evidence: [], afterRetry: false, target: undefined, avoid: [] };
  await expect(run(() => prepareStart(order))).rejects.toMatchObject({ fault: { code: 'DISARMED' } });
});

it('releases with the newest proof: an older one of the same host has lapsed', async () => {
  const at = new Date().toISOString();
  const proofs = ['lapsed', 'newest'].map((id) => ({
    ...{ id, hostId: host, incidentId: incident, method: 'observed-off', level: 'bmc', observedAt: at },
  })) as unknown as FenceEvidence[];
  const released: string[] = [];
  const asked: string[] = [];
  const ports = {
    inventory: {
      evidence: (id: string) => {
        asked.push(id);
        return Promise.resolve(id === 'newest' ? proofs[1] : { ...proofs[0], lapsedAt: at });
      },
      evidenceFor: () => Promise.resolve(proofs[1]),
      appendTimeline: () => Promise.resolve([]),
    },
    storageLocks: {
      strategies: ['nfs3-notify'],
      list: () => Promise.resolve({ poolId: pool, observedAt: at, knows: 'locks', locks: [] }),
      release: (_: string, __: unknown, { id }: FenceEvidence) => Promise.resolve(released.push(id)),
    },
  } as unknown as Ports;
  const env = environment(ports, fleet);
  const kept = await run(() => releaseForStart(env, vm as never, incident, proofs));
  expect({ kept, asked, released }).toEqual({ kept: undefined, asked: ['newest'], released: ['newest'] });
});
