import fc from 'fast-check';
import {
  type Account,
  evidenceFromAttestation,
  evidenceFromReadings,
  evidenceIsFresh,
  type FenceEvidence,
  isRefused,
  issueResumePermit,
  issueStartPermit,
  permitIsFresh,
  type PermitRequest,
  type Refused,
  type StartPermit,
} from '../../../domain/evidence';
import { evidenceId, fenceDeviceId, hostId, type HostId, incidentId, vmId } from '../../../domain/ids';
import { limits } from '../../../domain/limits';
import type { HostVmList, PowerReading, VmState } from '../../../domain/observations';

const t0 = Date.parse('2026-03-01T12:00:00.000Z');
const at = (ms: number): string => new Date(t0 + ms).toISOString();

const a = hostId('hv-a');
const b = hostId('hv-b');
const c = hostId('hv-c');
const vm = vmId('11111111-1111-4111-8111-111111111111');
const incident = incidentId({ kind: 'host', hostId: a }, 1);
const facts = { id: evidenceId(incident, 1), hostId: a, incidentId: incident };

const device = (name: string) => ({ id: fenceDeviceId(name), agent: 'fence_ipmilan' });
const level = { name: 'both-feeds', devices: [device('pdu-1'), device('pdu-2')] };
const reading = (name: string, power: 'on' | 'off', ms = 0, host: HostId = a): PowerReading => ({
  hostId: host,
  deviceId: fenceDeviceId(name),
  agent: 'fence_ipmilan',
  power,
  observedAt: at(ms),
});

function proven<T extends object>(answer: T | Refused): T {
  if (isRefused(answer)) throw new Error(answer.refused.join('; '));
  return answer;
}
const refusals = (answer: object): readonly string[] => (isRefused(answer) ? answer.refused : []);

const off = (ms = 0, host: HostId = a): FenceEvidence =>
  proven(
    evidenceFromReadings({ ...facts, hostId: host }, { name: 'bmc', devices: [device('bmc')] }, [
      reading('bmc', 'off', ms, host),
    ]),
  );
const attested = (): FenceEvidence =>
  proven(evidenceFromAttestation(facts, { by: 'mia', reason: 'pulled both cords', at: at(0) }));

describe('evidence from power readings', () => {
  it('is as old as its oldest reading', () => {
    const made = proven(
      evidenceFromReadings(facts, level, [reading('pdu-1', 'off', 500), reading('pdu-2', 'off', 100)]),
    );
    expect(made).toMatchObject({ method: 'observed-off', level: 'both-feeds', observedAt: at(100) });
  });

  it.each<[string, readonly PowerReading[], RegExp]>([
    ['a device of the level was not read', [reading('pdu-1', 'off')], /pdu-2 was not read/],
    ['a device reads "on"', [reading('pdu-1', 'off'), reading('pdu-2', 'on')], /pdu-2 reads "on"/],
    [
      'the last reading of a device is "on"',
      [reading('pdu-1', 'off'), reading('pdu-2', 'off'), reading('pdu-2', 'on', 5)],
      /pdu-2 reads "on"/,
    ],
    [
      'a reading is about another host',
      [reading('pdu-1', 'off'), reading('pdu-2', 'off', 0, b)],
      /pdu-2 was not read/,
    ],
    ['nothing was read', [], /pdu-1 was not read/],
  ])('is refused when %s', (_, readings, why) => {
    expect(refusals(evidenceFromReadings(facts, level, readings)).join('; ')).toMatch(why);
  });

  it('is refused for a level without a device: reading nothing proves nothing', () => {
    const empty = { name: 'none', devices: [] };
    expect(refusals(evidenceFromReadings(facts, empty, [reading('pdu-1', 'off')]))).toHaveLength(1);
  });

  it('names every problem at once', () => {
    expect(refusals(evidenceFromReadings(facts, level, [reading('pdu-2', 'on')]))).toHaveLength(2);
  });

  it('is made exactly when the last reading of every device of the level is "off"', () => {
    const some = fc.array(
      fc.record({ name: fc.constantFrom('pdu-1', 'pdu-2', 'pdu-3'), power: fc.constantFrom('on', 'off') }),
    );
    fc.assert(
      fc.property(some, (taken) => {
        const readings = taken.map((r) => reading(r.name, r.power));
        const last = (name: string): string | undefined => taken.filter((r) => r.name === name).at(-1)?.power;
        const allOff = last('pdu-1') === 'off' && last('pdu-2') === 'off';
        return isRefused(evidenceFromReadings(facts, level, readings)) !== allOff;
      }),
    );
  });
});

describe('an attestation', () => {
  it.each([
    ['a name', { by: ' ', reason: 'seen' }],
    ['a reason', { by: 'mia', reason: '' }],
  ])('is refused without %s', (_, said) => {
    expect(refusals(evidenceFromAttestation(facts, { ...said, at: at(0) }))).toHaveLength(1);
  });

  it('does not age by the clock', () => {
    expect(evidenceIsFresh(attested(), t0 + 365 * 86_400_000)).toBe(true);
  });
});

describe('the age of evidence', () => {
  it.each([
    [0, true],
    [limits.evidenceAgeMsMax, true],
    [limits.evidenceAgeMsMax + 1, false],
    [-limits.clockSkewMsMax, true],
    [-limits.clockSkewMsMax - 1, false],
  ])('of %p ms is fresh: %p', (age, fresh) => {
    expect(evidenceIsFresh(off(), t0 + age)).toBe(fresh);
  });

  it('that cannot be read is never fresh', () => {
    expect(evidenceIsFresh({ ...off(), observedAt: 'yesterday' }, t0)).toBe(false);
  });
});

const list = (host: HostId, state?: VmState, ms = 1_000): HostVmList => ({
  hostId: host,
  observedAt: at(ms),
  vms: state === undefined ? [] : [{ vmId: vm, name: 'v', state, reason: 'r', persistent: true }],
});
const byList = (host: HostId, state?: VmState, ms = 1_000): Account => ({
  ...{ hostId: host, by: 'own-list' },
  list: list(host, state, ms),
});
const byEvidence = (evidence: FenceEvidence, host: HostId = a): Account => ({
  ...{ hostId: host, by: 'fence-evidence' },
  evidence,
});

const request = (change: Partial<PermitRequest> = {}): PermitRequest => ({
  ...{ vmId: vm, target: b, incidentId: incident, recordVersion: 7, mayHold: [a, c] },
  accounts: [byEvidence(off()), byList(b), byList(c, 'shut-off')],
  incidentBeganAt: at(0),
  now: at(2_000),
  ...change,
});

describe('a start permit', () => {
  it('names every host that was accounted for, how, and when it was seen', () => {
    expect(proven(issueStartPermit(request()))).toMatchObject({
      ...{ vmId: vm, target: b, incidentId: incident, recordVersion: 7, issuedAt: at(2_000) },
      accounts: [
        { hostId: a, by: 'fence-evidence', observedAt: at(0), evidenceId: facts.id },
        { hostId: b, by: 'own-list', observedAt: at(1_000) },
        { hostId: c, by: 'own-list', observedAt: at(1_000) },
      ],
    });
  });

  it('is given on an attestation, however old', () => {
    const accounts = [byEvidence(attested()), byList(b), byList(c)];
    const old = request({ accounts, now: at(2_000) });
    expect(isRefused(issueStartPermit(old))).toBe(false);
  });

  it.each<[string, Partial<PermitRequest>, RegExp]>([
    [
      'a host that may hold the VM is not accounted for',
      { accounts: [byEvidence(off()), byList(b)] },
      /hv-c may hold it and is not accounted for/,
    ],
    [
      'the target is not accounted for',
      { accounts: [byEvidence(off()), byList(c)] },
      /hv-b may hold it and is not accounted for/,
    ],
    [
      'the evidence is about another host',
      { accounts: [byEvidence(off(0, c)), byList(b), byList(c)] },
      /evidence for hv-a is about hv-c/,
    ],
    [
      'the evidence has aged',
      {
        accounts: [byEvidence(off()), byList(b, undefined, 70_000), byList(c, undefined, 70_000)],
        now: at(limits.evidenceAgeMsMax + 10_001),
      },
      /has aged: read its power again/,
    ],
    [
      'a list is of another host',
      { accounts: [byEvidence(off()), byList(b), { hostId: c, by: 'own-list', list: list(b) }] },
      /the list for hv-c is from hv-b/,
    ],
    [
      'a list was read before the incident began',
      { accounts: [byEvidence(off()), byList(b), byList(c, undefined, -1)] },
      /hv-c is older than the incident/,
    ],
    [
      'a list has aged',
      { now: at(1_001 + limits.listAgeMsMax), accounts: [byEvidence(off()), byList(b), byList(c)] },
      /hv-b has aged/,
    ],
    [
      'a list is from the future',
      { accounts: [byEvidence(off()), byList(b), byList(c, undefined, 60_000)] },
      /hv-c is from the future/,
    ],
    [
      'the time of a list cannot be read',
      {
        accounts: [
          byEvidence(off()),
          byList(b),
          { hostId: c, by: 'own-list', list: { ...list(c), observedAt: 'soon' } },
        ],
      },
      /list of hv-c/,
    ],
    ['the time of the incident cannot be read', { incidentBeganAt: 'then' }, /list of hv-b is older/],
    [
      'the target is fenced',
      { accounts: [byEvidence(off()), byEvidence(off(0, b), b), byList(c)] },
      /hv-b is fenced: it cannot be the target/,
    ],
    [
      'one account of a host contradicts the other',
      { accounts: [byEvidence(off()), byList(a, 'running'), byList(b), byList(c)] },
      /hv-a says it is running/,
    ],
  ])('is refused when %s', (_, change, why) => {
    expect(refusals(issueStartPermit(request(change))).join('; ')).toMatch(why);
  });

  it.each<[VmState, boolean]>([
    ['running', true],
    ['paused', true],
    ['in-transition', true],
    ['unknown', true],
    ['shut-off', false],
    ['crashed', false],
  ])('while a list says "%s" is refused: %p', (state, refused) => {
    const accounts = [byEvidence(off()), byList(b), byList(c, state)];
    expect(isRefused(issueStartPermit(request({ accounts })))).toBe(refused);
  });

  it('is refused for every host at once, not the first alone', () => {
    const accounts = [byList(b, 'running')];
    expect(refusals(issueStartPermit(request({ accounts })))).toHaveLength(3);
  });

  it('is never given while any host that may hold the VM has no good account', () => {
    const states = ['running', 'paused', 'in-transition', 'unknown', 'shut-off', 'crashed', 'absent', 'none'];
    fc.assert(
      fc.property(fc.constantFrom(...states), fc.constantFrom(...states), fc.nat(100_000), (x, y, age) => {
        const of = (host: HostId, said: string): Account[] =>
          said === 'none' ? [] : [byList(host, said === 'absent' ? undefined : (said as VmState))];
        const accounts = [...of(a, x), ...of(c, y), byList(b)];
        const answer = issueStartPermit(request({ accounts, now: at(1_000 + age) }));
        const good = (said: string): boolean => ['shut-off', 'crashed', 'absent'].includes(said);
        return isRefused(answer) === !(good(x) && good(y) && age <= limits.listAgeMsMax);
      }),
    );
  });

  it('is good for as long as a list is, and not before its time', () => {
    const permit: StartPermit = proven(issueStartPermit(request()));
    const issued = t0 + 2_000;
    expect(permitIsFresh(permit, issued + limits.listAgeMsMax)).toBe(true);
    expect(permitIsFresh(permit, issued + limits.listAgeMsMax + 1)).toBe(false);
    expect(permitIsFresh(permit, issued - limits.clockSkewMsMax - 1)).toBe(false);
    expect(permitIsFresh({ ...permit, issuedAt: 'soon' }, issued)).toBe(false);
  });
});

describe('a permit to go on', () => {
  const stands = (host: HostId, state: VmState | 'absent', ms = 0): Account => ({
    ...{ hostId: host, by: 'own-list' },
    list: {
      ...{ hostId: host, observedAt: at(ms) },
      vms:
        state === 'absent' ? [] : [{ vmId: vm, name: 'web', state, reason: 'I/O error', persistent: true }],
    },
  });
  const ask = (accounts: readonly Account[], now = 0) =>
    issueResumePermit({
      ...{ vmId: vm, target: a, incidentId: incident, recordVersion: 1, mayHold: [a, b], accounts },
      ...{ incidentBeganAt: at(0), now: at(now) },
    });

  it('is given where the VM stands paused and no other host runs it', () => {
    expect(isRefused(ask([stands(a, 'paused'), stands(b, 'shut-off')]))).toBe(false);
    expect(isRefused(ask([stands(a, 'paused'), stands(b, 'absent')]))).toBe(false);
  });

  it.each<[string, readonly Account[], RegExp]>([
    ['it is at rest there', [stands(a, 'shut-off'), stands(b, 'absent')], /shut-off, not paused/],
    ['it runs there', [stands(a, 'running'), stands(b, 'absent')], /running, not paused/],
    ['it is not there', [stands(a, 'absent'), stands(b, 'absent')], /not there, not paused/],
    ['it runs on another host', [stands(a, 'paused'), stands(b, 'running')], /hv-b says it is running/],
    ['it stands on another host too', [stands(a, 'paused'), stands(b, 'paused')], /hv-b says it is paused/],
    ['another host that may hold it was not asked', [stands(a, 'paused')], /hv-b may hold it/],
    ['the list is older than the incident', [stands(a, 'paused', -1), stands(b, 'absent')], /older than/],
  ])('is refused when %s', (_, accounts, why) => {
    expect(refusals(ask(accounts)).join('; ')).toMatch(why);
  });

  it('is no permit to start, nor the other way round', () => {
    const paused = [stands(a, 'paused'), stands(b, 'absent')];
    const request = {
      ...{ vmId: vm, target: a, incidentId: incident, recordVersion: 1, mayHold: [a, b] },
      ...{ accounts: paused, incidentBeganAt: at(0), now: at(0) },
    };
    expect(refusals(issueStartPermit(request)).join('; ')).toMatch(/says it is paused/);
  });
});
