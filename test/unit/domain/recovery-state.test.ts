import fc from 'fast-check';
import { evidenceFromAttestation, type FenceEvidence } from '../../../domain/evidence';
import { fault } from '../../../domain/faults';
import { evidenceId, hostId, incidentId, vmId } from '../../../domain/ids';
import {
  canHappen,
  closedPhases,
  IllegalTransition,
  isClosed,
  isWaiting,
  type RecoveryEvent,
  type RecoveryPhase,
  type RecoveryState,
  transition,
  type VmResult,
} from '../../../domain/recovery-state';

const host = hostId('hv-a');
const incident = incidentId({ kind: 'host', hostId: host }, 1);
const evidence = evidenceFromAttestation(
  { id: evidenceId(incident, 1), hostId: host, incidentId: incident },
  { by: 'mia', reason: 'seen', at: '2026-03-01T12:00:00.000Z' },
) as FenceEvidence;
const silent = fault('FENCE_DEVICE_SILENT', { host, device: 'bmc', detail: 'no answer' });
const vm: VmResult = {
  ...{ vmId: vmId('v1'), name: 'v1', phase: 'running', target: hostId('hv-b'), fault: undefined },
  finishedAt: '2026-03-01T12:01:00.000Z',
};

const states: { readonly [P in RecoveryPhase]: Extract<RecoveryState, { phase: P }> } = {
  suspect: { phase: 'suspect', why: 'silent' },
  admitted: { phase: 'admitted', why: 'dead', approvedBy: undefined },
  held: { phase: 'held', inTrouble: [host], allowed: 0, why: 'too many' },
  fencing: { phase: 'fencing', level: 'bmc' },
  'blocked-unfenced': { phase: 'blocked-unfenced', faults: [silent], attempts: 1 },
  fenced: { phase: 'fenced', evidence },
  releasing: { phase: 'releasing', evidence },
  'blocked-locks': { phase: 'blocked-locks', evidence, faults: [] },
  restarting: { phase: 'restarting', evidence, vms: [] },
  recovered: { phase: 'recovered', vms: [vm] },
  'partially-recovered': { phase: 'partially-recovered', vms: [vm] },
  dismissed: { phase: 'dismissed', why: 'alive' },
  aborted: { phase: 'aborted', by: 'mia', why: 'planned' },
};

const events: readonly RecoveryEvent[] = [
  { event: 'host-dead', why: 'silent' },
  { event: 'alive-again', boot: 'same', why: 'answers' },
  { event: 'alive-again', boot: 'new', why: 'answers' },
  { event: 'over-blast-radius', inTrouble: [host], allowed: 0 },
  { event: 'needs-approval', why: 'mode approve' },
  { event: 'approved', by: 'mia' },
  { event: 'fence-begun', level: 'bmc' },
  { event: 'fence-failed', faults: [silent], attempts: 1 },
  { event: 'off-proven', evidence },
  { event: 'release-begun' },
  { event: 'locks-foreign', faults: [] },
  { event: 'locks-free' },
  { event: 'vm-moved-on', vm },
  { event: 'all-settled', vms: [vm] },
  { event: 'aborted', by: 'mia', why: 'planned' },
];

const nameOf = (e: RecoveryEvent): string => (e.event === 'alive-again' ? `alive-again/${e.boot}` : e.event);

const returns = { 'alive-again/same': 'dismissed', 'alive-again/new': 'restarting' } as const;
const stopped = { aborted: 'aborted' } as const;

/** Every arrow there is. What is not named here must be refused. */
const arrows: Readonly<Record<RecoveryPhase, Readonly<Record<string, RecoveryPhase>>>> = {
  suspect: { 'host-dead': 'admitted', 'needs-approval': 'held', ...returns, ...stopped },
  admitted: {
    ...{ 'over-blast-radius': 'held', 'needs-approval': 'held', 'fence-begun': 'fencing' },
    ...{ 'off-proven': 'fenced', ...returns, ...stopped },
  },
  held: {
    'over-blast-radius': 'held',
    'needs-approval': 'held',
    approved: 'admitted',
    ...returns,
    ...stopped,
  },
  fencing: {
    ...{ 'fence-begun': 'fencing', 'fence-failed': 'blocked-unfenced', 'off-proven': 'fenced' },
    ...{ 'needs-approval': 'held', ...returns, ...stopped },
  },
  'blocked-unfenced': {
    ...{ 'fence-begun': 'fencing', 'fence-failed': 'blocked-unfenced', 'off-proven': 'fenced' },
    ...{ 'needs-approval': 'held', ...returns, ...stopped },
  },
  fenced: { 'release-begun': 'releasing', ...stopped },
  releasing: {
    ...{ 'release-begun': 'releasing', 'locks-foreign': 'blocked-locks', 'locks-free': 'restarting' },
    ...stopped,
  },
  'blocked-locks': { 'release-begun': 'releasing', ...stopped },
  restarting: { 'vm-moved-on': 'restarting', 'all-settled': 'recovered' },
  recovered: {},
  'partially-recovered': {},
  dismissed: {},
  aborted: {},
};

const phases = Object.keys(states) as RecoveryPhase[];
const pairs = phases.flatMap((phase) =>
  events.map((event) => ({
    phase,
    event,
    name: nameOf(event),
    to: arrows[phase][nameOf(event)] ?? 'refused',
  })),
);

const isArrow = (pair: { readonly to: string }): boolean => pair.to !== 'refused';

it.each(pairs.filter(isArrow))('$phase, $name: $to', ({ phase, event, to }) => {
  expect(transition(states[phase], event).phase).toBe(to);
  expect(canHappen(phase, event.event)).toBe(true);
});

it.each(pairs.filter((p) => !isArrow(p)))('$phase, $name: refused', ({ phase, event }) => {
  const move = (): RecoveryState => transition(states[phase], event);
  expect(move).toThrow(IllegalTransition);
  expect(move).toThrow(`"${event.event}" has no meaning in phase "${phase}"`);
  expect(canHappen(phase, event.event)).toBe(false);
});

it('moves out of no closed phase', () => {
  expect([...closedPhases].sort()).toEqual(phases.filter((p) => Object.keys(arrows[p]).length === 0).sort());
  expect(phases.filter(isClosed)).toEqual(phases.filter((p) => Object.keys(arrows[p]).length === 0));
});

it('leaves every phase that waits for a person by something a person can do', () => {
  for (const phase of phases.filter(isWaiting))
    expect(Object.keys(arrows[phase])).toEqual(expect.arrayContaining(['aborted']));
});

it('can reach every phase from the first', () => {
  const reached = new Set<RecoveryPhase>(['suspect']);
  for (const phase of reached) for (const next of Object.values(arrows[phase])) reached.add(next);
  // `all-settled` decides by its VMs between two ends; the table holds the one where all of them run.
  reached.add('partially-recovered');
  expect([...reached].sort()).toEqual([...phases].sort());
});

describe('the end', () => {
  const settle = (...ends: VmResult['phase'][]): RecoveryPhase =>
    transition(states.restarting, { event: 'all-settled', vms: ends.map((phase) => ({ ...vm, phase })) })
      .phase;

  it('is "recovered" when every VM runs, and when there was none', () => {
    expect(settle('running', 'running')).toBe('recovered');
    expect(settle()).toBe('recovered');
  });

  it.each(['guest-degraded', 'no-capacity', 'blocked', 'stuck'] as const)(
    'is "partially-recovered" when one VM is %s',
    (phase) => {
      expect(settle('running', phase)).toBe('partially-recovered');
    },
  );
});

it('keeps one line per VM, the latest', () => {
  const first = transition(states.restarting, { event: 'vm-moved-on', vm: { ...vm, phase: 'starting' } });
  const second = transition(first, { event: 'vm-moved-on', vm });
  expect(second).toMatchObject({ phase: 'restarting', evidence, vms: [{ vmId: 'v1', phase: 'running' }] });
  expect(second.phase === 'restarting' && second.vms).toHaveLength(1);
});

it('starts VMs on evidence, or on the host’s own return, whatever happens on the way', () => {
  const walk = fc.array(fc.constantFrom(...events), { maxLength: 60 });
  fc.assert(
    fc.property(walk, (steps) => {
      let state: RecoveryState = { phase: 'suspect', why: 'silent' };
      let proven = false;
      let returned = false;
      for (const event of steps) {
        if (!canHappen(state.phase, event.event)) continue;
        proven ||= event.event === 'off-proven';
        returned ||= event.event === 'alive-again' && event.boot === 'new';
        state = transition(state, event);
        if (state.phase === 'restarting' && state.evidence === undefined && !returned) return false;
        if (state.phase === 'restarting' && state.evidence !== undefined && !proven) return false;
        if (['fenced', 'releasing', 'blocked-locks'].includes(state.phase) && !proven) return false;
      }
      return true;
    }),
    { numRuns: 500 },
  );
});
