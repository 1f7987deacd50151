import { DriverFault, fault, type FaultCode, faultTable, isFaultCode } from '../../../domain/faults';

const codes = Object.keys(faultTable) as FaultCode[];

const placeholders = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1] as string);

/** The words that faults are made of: a new one here is a new fact that every driver has to give. */
const known = [
  ...['host', 'vm', 'detail', 'call', 'path', 'holder', 'device', 'limit', 'power', 'pool', 'what', 'known'],
  ...['incident', 'check', 'seconds', 'by', 'key', 'target', 'disk', 'free', 'needed'],
  ...['vcenter', 'url', 'user', 'privilege', 'wanted', 'found', 'name', 'question', 'secret', 'uri'],
  ...['command', 'used', 'minutes', 'id'],
];

describe.each(codes)('%s', (code) => {
  const rule = faultTable[code];

  it('asks for known facts only, by names that are spelled right', () => {
    const asked = placeholders(rule.sentence + rule.next);
    expect(asked.filter((p) => !known.includes(p))).toEqual([]);
    expect((rule.sentence + rule.next).match(/[{}]/g) ?? []).toHaveLength(asked.length * 2);
  });

  it('becomes a whole sentence and a next step when its facts are given', () => {
    const facts = Object.fromEntries(known.map((k) => [k, `<${k}>`]));
    const made = fault(code, facts);
    expect(made).toMatchObject({ code, class: rule.class, facts });
    expect(made.sentence + made.next).not.toMatch(/[{}]|not known\)/);
    for (const asked of placeholders(rule.sentence)) expect(made.sentence).toContain(`<${asked}>`);
    expect(made.next.length).toBeGreaterThan(5);
  });

  it('says which fact is missing rather than nothing', () => {
    const asked = placeholders(rule.sentence);
    for (const name of asked) expect(fault(code).sentence).toContain(`(${name} not known)`);
  });

  it('belongs to a class', () => {
    expect(['transient', 'permanent', 'outcome-unknown']).toContain(rule.class);
  });
});

it.each<[FaultCode, string]>([
  ['CALL_OUTCOME_UNKNOWN', 'outcome-unknown'],
  ['FENCE_OUTCOME_UNKNOWN', 'outcome-unknown'],
  ['LOCK_HELD', 'permanent'],
  ['EVIDENCE_CONTRADICTED', 'permanent'],
  ['PERMIT_REFUSED', 'permanent'],
  ['FENCE_LOGIN_REFUSED', 'permanent'],
  ['HYPERVISOR_UNREACHABLE', 'transient'],
  ['FENCE_DEVICE_SILENT', 'transient'],
])('%s is %s: what may follow rests on it', (code, expected) => {
  expect(faultTable[code].class).toBe(expected);
});

it('never takes a lock that is held for something to be tried again or forced', () => {
  expect(fault('LOCK_HELD', {}).next).not.toMatch(/force|again/);
});

it('fills a fact in as it is, without reading it for further placeholders', () => {
  const made = fault('UNKNOWN_VM', { vm: '{vm}$&' });
  expect(made.sentence).toBe('There is no VM {vm}$& in the inventory');
});

it.each([['toString'], ['constructor'], [''], ['lock_held'], [7], [undefined], [null]])(
  'does not take %p for a fault code',
  (text) => {
    expect(isFaultCode(text)).toBe(false);
  },
);

it('carries its fault and its cause when thrown', () => {
  const cause = new Error('ECONNREFUSED');
  const thrown = new DriverFault('INVENTORY_UNREACHABLE', { detail: 'connection refused' }, { cause });
  expect(thrown).toBeInstanceOf(Error);
  expect(thrown).toMatchObject({ name: 'DriverFault', cause, fault: { code: 'INVENTORY_UNREACHABLE' } });
  expect(thrown.message).toBe('The inventory does not answer: connection refused');
});
