/** Proofs, refusals and unanswered starts as the activities read them: cases that a whole simulated recovery meets only by luck. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { takeDefinitionAway } from '../../../activities/definitions';
import type { Environment } from '../../../activities/environment';
import { freshEvidence } from '../../../activities/fence';
import { restartVmActivities } from '../../../activities/restart-vm';
import { readBackStart, type Started } from '../../../activities/start-outcome';
import { permitFor } from '../../../activities/start-permit';
import {
  evidenceFromAttestation,
  evidenceFromReadings,
  type FenceEvidence,
  isRefused,
} from '../../../domain/evidence';
import { DriverFault, fault } from '../../../domain/faults';
import { defaultPolicy, limits } from '../../../domain/limits';
import {
  clusterId,
  evidenceId,
  fenceDeviceId,
  hostId,
  incidentId,
  vmId as vmIdOf,
} from '../../../domain/ids';
import type { VmRecord } from '../../../domain/records';

const a = hostId('hv-a');
const b = hostId('hv-b');
const cluster = clusterId('c1');
const vmId = vmIdOf('11111111-0000-4000-8000-000000000001');
const device = { id: fenceDeviceId('bmc-a'), agent: 'fence_ipmilan' };
const level = { name: 'bmc', devices: [device] };
const capacity = { memoryMiB: 4096, vcpus: 4 };
const host = (id: typeof a) => ({ id, capacity, pools: [], networks: [], fenceLevels: [level] });
const policy = { ...defaultPolicy, readBackDeadlineMs: 50 };
const fleet = { clusters: [{ id: cluster, hosts: [host(a), host(b)], pools: [], vms: {}, policy }] };
const vm = { vmId, name: 'vm-001', hostId: a, clusterId: cluster, version: 1 } as unknown as VmRecord;

function off(epoch: number, ageMs = 0): FenceEvidence {
  const observedAt = new Date(Date.now() - ageMs).toISOString();
  const incident = incidentId({ kind: 'host', hostId: a }, epoch);
  const reading = { hostId: a, deviceId: device.id, agent: device.agent, power: 'off' as const, observedAt };
  const facts = { id: evidenceId(incident, 1), hostId: a, incidentId: incident };
  const made = evidenceFromReadings(facts, level, [reading]);
  if (isRefused(made)) throw new Error(made.refused.join('; '));
  return made;
}

const listOf = (id: typeof a, vms: readonly object[] = []) =>
  Promise.resolve({ hostId: id, observedAt: new Date().toISOString(), vms });
const env = (parts: object): Environment => ({ fleet, ...parts }) as unknown as Environment;
const act = <T>(work: () => Promise<T>, attempt = 1): Promise<T> =>
  new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR') }).run(work);

it('rests on the newest proof of a host that came back and failed again', async () => {
  const [first, second] = [off(1), off(2)];
  const inventory = {
    sightings: () => Promise.resolve([]),
    evidence: (id: string) =>
      Promise.resolve(
        id === first.id ? { evidence: first, lapsedAt: first.observedAt } : { evidence: second },
      ),
  };
  const facing = env({ inventory, lists: { read: (id: typeof a) => listOf(id) } });
  const began = new Date(Date.now() - 1_000).toISOString();
  const permit = (evidence: readonly FenceEvidence[], afterRetry = false) =>
    act(() =>
      permitFor(facing, vm, b, {
        ...{ vmId, incidentId: first.incidentId, incidentBeganAt: began },
        ...{ evidence, afterRetry },
      }),
    );
  expect(await permit([first, second])).toHaveProperty('permit');
  // The control: a proof that has lapsed is none.
  expect(await permit([first])).toMatchObject({ refused: { code: 'EVIDENCE_CONTRADICTED' } });
  // A person who has looked into it says go on: the host answers, so its own list counts.
  expect(await permit([first], true)).toMatchObject({
    permit: { accounts: [{ hostId: a, by: 'own-list' }, { hostId: b }] },
  });
});

it('listens once more to a host before it acts on the word of a person that it is off', async () => {
  const facts = { id: evidenceId(off(1).incidentId, 2), hostId: a, incidentId: off(1).incidentId };
  const at = new Date(Date.now() - limits.evidenceAgeMsMax * 100).toISOString();
  const attested = evidenceFromAttestation(facts, { by: 'alice', reason: 'I pulled its plug', at });
  if (isRefused(attested)) throw new Error(attested.refused.join('; '));
  const lapsed: string[] = [];
  const inventory = {
    evidence: () => Promise.resolve({ evidence: attested, lapsedAt: undefined }),
    lapseEvidence: (id: string) => Promise.resolve(void lapsed.push(id)),
  };
  const hearing = (says: string) =>
    env({ inventory, hypervisor: { probe: () => Promise.resolve({ source: 'hypervisor', says }) } });
  expect(await act(() => freshEvidence(hearing('silent'), attested))).toBe(attested);
  expect(lapsed).toEqual([]);
  await expect(act(() => freshEvidence(hearing('answers'), attested))).rejects.toMatchObject({
    fault: { code: 'EVIDENCE_CONTRADICTED' },
  });
  expect(lapsed).toEqual([a]);
});

it('listens to the host also when the word of a person stands in for a reading that has aged', async () => {
  const aged = off(1, limits.evidenceAgeMsMax + 1_000);
  const facts = { id: evidenceId(aged.incidentId, 2), hostId: a, incidentId: aged.incidentId };
  const at = new Date().toISOString();
  const attested = evidenceFromAttestation(facts, { by: 'alice', reason: 'I pulled its plug', at });
  const inventory = {
    evidence: () => Promise.resolve({ evidence: aged, lapsedAt: undefined }),
    evidenceFor: () => Promise.resolve(attested),
    lapseEvidence: () => Promise.resolve(),
  };
  const hearing = (says: string) =>
    env({ inventory, hypervisor: { probe: () => Promise.resolve({ source: 'hypervisor', says }) } });
  expect(await act(() => freshEvidence(hearing('silent'), aged))).toBe(attested);
  await expect(act(() => freshEvidence(hearing('answers'), aged))).rejects.toMatchObject({
    fault: { code: 'EVIDENCE_CONTRADICTED' },
  });
});

it('sends a refused password no more often than allowed when aged evidence is read again', async () => {
  const aged = off(1, limits.evidenceAgeMsMax + 1_000);
  let refusals = 0;
  let asked = 0;
  const inventory = {
    evidence: () => Promise.resolve({ evidence: aged, lapsedAt: undefined }),
    evidenceFor: () => Promise.resolve(aged),
    deviceHealth: () => Promise.resolve({ loginRefusals: refusals }),
    noteDeviceAnswer: () => Promise.resolve(void (refusals += 1)),
  };
  const fencing = {
    status: () => {
      asked += 1;
      return Promise.reject(new DriverFault('FENCE_LOGIN_REFUSED', { device: device.id }));
    },
  };
  for (let vms = 0; vms < 5; vms += 1)
    await expect(act(() => freshEvidence(env({ inventory, fencing }), aged))).rejects.toMatchObject({
      fault: { code: 'FENCE_LOGIN_REFUSED' },
    });
  expect(asked).toBe(limits.fenceLoginRefusalsMax);
});

it('names a refusal to undefine as what it is, so that it reaches a person', async () => {
  const refusal = fault('UNDEFINE_REFUSED', { host: b, vm: 'vm-001', detail: 'it has 1 snapshot' });
  const atRest = { vmId, name: 'vm-001', state: 'shut-off', reason: 'shutdown' };
  const answering = (outcome: object) =>
    env({
      lists: { read: (id: typeof a) => listOf(id, [atRest]) },
      hypervisor: { undefine: () => Promise.resolve(outcome) },
    });
  const takeAway = (outcome: object) => act(() => takeDefinitionAway(answering(outcome), vm, b));
  await expect(takeAway({ kind: 'refused', fault: refusal })).rejects.toMatchObject({ fault: refusal });
  // The control: without an answer it is tried again.
  const silent = { kind: 'unreachable', fault: fault('HYPERVISOR_UNREACHABLE', { host: b }) };
  await expect(takeAway(silent)).rejects.toMatchObject({ fault: { class: 'transient' } });
});

describe('a definition of an attempt that is taken back', () => {
  const calls: string[] = [];
  const facing = (savedImage: boolean) =>
    env({
      lists: {
        read: (id: typeof a) => {
          const seen = { vmId, name: 'vm-001', state: 'shut-off', reason: 'saved', savedImage };
          return listOf(id, calls.includes('undefine') ? [] : [seen]);
        },
      },
      hypervisor: { undefine: () => Promise.resolve(calls.push('undefine')).then(() => ({ kind: 'ok' })) },
      inventory: { removeSighting: () => Promise.resolve(void calls.push('removeSighting')) },
    });
  beforeEach(() => calls.splice(0));

  it('stays, and its host stays accounted for, where a memory image was saved by somebody', async () => {
    await act(() => takeDefinitionAway(facing(true), vm, b, 'left-alone'));
    expect(calls).toEqual([]);
  });

  it('goes where nothing was saved, and an outdated image goes once the VM runs elsewhere', async () => {
    await act(() => takeDefinitionAway(facing(false), vm, b, 'left-alone'));
    expect(calls.splice(0)).toEqual(['undefine', 'removeSighting']);
    await act(() => takeDefinitionAway(facing(true), vm, b));
    expect(calls).toEqual(['undefine', 'removeSighting']);
  });
});

describe('a start that could not be sent', () => {
  const facing = env({ lists: { read: (id: typeof a) => listOf(id) } });
  const basis = {
    vmId,
    incidentId: off(1).incidentId,
    incidentBeganAt: '',
    evidence: [],
    afterRetry: false,
    target: b,
  };
  const unreachable = { kind: 'unreachable', fault: fault('HYPERVISOR_BUSY', { host: b }) } as const;
  const aged = { kind: 'refused', fault: fault('PERMIT_REFUSED', { host: b }) } as const;
  const answer = (problem: typeof unreachable | typeof aged, askedBefore: boolean, attempt = 1) =>
    act(
      () =>
        readBackStart(facing, vm, { ...basis, askedBefore, order: 1 }, { problem, askedBefore, once: '1' }),
      attempt,
    );

  it('did not happen when none was sent before', async () => {
    expect(await answer(unreachable, false)).toMatchObject({ kind: 'not-started' });
    expect(await answer(aged, false)).toMatchObject({ kind: 'not-started' });
  });

  it('says nothing of an earlier one that nobody answered', async () => {
    expect(await answer(unreachable, true)).toMatchObject({ kind: 'unknown' });
    expect(await answer(aged, true)).toMatchObject({ kind: 'unknown' });
    expect(await answer(unreachable, false, 2)).toMatchObject({ kind: 'unknown' });
  });
});

describe('a start that is ordered within a workflow task', () => {
  const evidence = off(1);
  const told: string[] = [];
  const busy = { kind: 'unreachable', fault: fault('HYPERVISOR_BUSY', { host: b }) } as const;
  const facing = (
    before: readonly string[],
    outcome: object | Promise<object>,
    vms: readonly object[] = [],
  ) =>
    env({
      orders: new Map(),
      lists: { read: (id: typeof a) => listOf(id, vms) },
      hypervisor: { start: () => Promise.resolve(outcome) },
      inventory: {
        vm: () => Promise.resolve({ ...vm, persistent: true }),
        switches: () => Promise.resolve([]),
        definition: () => Promise.resolve({ vmId, version: 1, text: '', readFrom: a, readAt: '' }),
        sightings: () => Promise.resolve([]),
        evidence: () => Promise.resolve({ evidence, lapsedAt: undefined }),
        timeline: () => Promise.resolve([]),
        appendTimeline: (_: string, entries: readonly { key: string }[]) => {
          const keys = entries.map((e) => e.key);
          told.push(...keys);
          return Promise.resolve(keys.filter((k) => before.some((part) => k.includes(part))));
        },
      },
    });
  const ordered = (parts: Environment, order = 1, left?: Started): Promise<Started> =>
    act(() =>
      restartVmActivities(parts).startVm({
        ...{
          vmId,
          incidentId: evidence.incidentId,
          incidentBeganAt: evidence.observedAt,
          evidence: [evidence],
        },
        ...{ afterRetry: false, target: b, askedBefore: false, order },
        ...(left?.kind === 'not-read-yet' ? { sent: left.sent } : { oneLook: true as const }),
      }),
    );
  beforeEach(() => told.splice(0));

  it('by a worker that died there may have been sent: that it cannot be sent now says nothing of that one', async () => {
    const answer = await ordered(facing(['-1'], busy));
    expect(answer).toMatchObject({ kind: 'not-read-yet', sent: { problem: busy, askedBefore: true } });
    // Each time that it is sent has a line of its own.
    expect(told.filter((key) => key.startsWith('start-'))).toHaveLength(2);
  });

  it('did not happen when it is the first of its number and could not be sent', async () => {
    expect(await ordered(facing([], busy))).toEqual({ kind: 'not-started', fault: busy.fault });
    expect(told.filter((key) => key.startsWith('start-'))).toHaveLength(1);
  });

  it('is read back by an activity of its own when the first look does not show it running', async () => {
    const answer = await ordered(facing([], { kind: 'ok' }));
    expect(answer).toMatchObject({ kind: 'not-read-yet', sent: { problem: undefined, askedBefore: false } });
  });

  it('and takes long is left under way, and its answer is heard by the activity that follows', async () => {
    let say: (outcome: object) => void = () => undefined;
    const parts = facing([], new Promise((resolve) => (say = resolve)));
    const left = await ordered(parts);
    expect(left).toMatchObject({
      kind: 'not-read-yet',
      sent: { problem: 'not-answered-yet', askedBefore: false },
    });
    const heard = ordered(parts, 1, left);
    const refused = { kind: 'refused', fault: fault('START_REFUSED', { host: b, vm: 'vm-001' }) };
    say(refused);
    expect(await heard).toEqual({ kind: 'not-started', fault: refused.fault });
    expect(parts.orders.size).toBe(0);
  });

  it('and was left under way by a worker that is gone stays unknown while the VM is at rest', async () => {
    const left = {
      kind: 'not-read-yet',
      sent: { problem: 'not-answered-yet', askedBefore: false, once: '1' },
    } as const;
    expect(await ordered(facing([], busy), 1, left)).toMatchObject({ kind: 'unknown' });
  });
});
