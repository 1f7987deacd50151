import fc from 'fast-check';
import {
  clusterId,
  evidenceId,
  hostId,
  incidentId,
  isId,
  poolId,
  vmId,
  workflowIds,
} from '../../../domain/ids';

const letters = ['a', 'b', 'X', 'Y', '0', '1', '9'];
const anyId = fc
  .tuple(
    fc.constantFrom(...letters),
    fc.string({ unit: fc.constantFrom(...letters, '.', '-', '_'), maxLength: 62 }),
  )
  .map(([first, rest]) => first + rest);

describe('an identifier', () => {
  it('is taken as it is when it follows the rule', () => {
    fc.assert(fc.property(anyId, (text) => isId(text) && hostId(text) === text && vmId(text) === text));
  });

  it.each([
    ['nothing', ''],
    ['a dash first', '-a'],
    ['a dot first', '.a'],
    ['a space', 'a b'],
    ['a colon, which workflow IDs are made with', 'a:b'],
    ['a slash', 'a/b'],
    ['a newline at the end', 'a\n'],
    ['letters beyond ASCII', 'hôte'],
    ['64 characters', 'a'.repeat(64)],
  ])('is refused with %s, naming the text and the rule', (_, text) => {
    for (const make of [clusterId, hostId, vmId, poolId]) expect(() => make(text)).toThrow(RangeError);
    expect(() => hostId(text)).toThrow(/is no Host id: it starts with a letter or digit/);
  });
});

describe('an incident', () => {
  it.each([0, -1, 1.5, Number.NaN, Infinity])('has no epoch %p', (epoch) => {
    expect(() => incidentId({ kind: 'host', hostId: hostId('a') }, epoch)).toThrow(/counts from 1/);
  });

  it('has an identity that no other target or epoch shares', () => {
    const target = fc.record({
      kind: fc.constantFrom('host', 'vm'),
      name: anyId,
      epoch: fc.integer({ min: 1 }),
    });
    const idOf = ({ kind, name, epoch }: { kind: string; name: string; epoch: number }): string =>
      kind === 'host'
        ? incidentId({ kind: 'host', hostId: hostId(name) }, epoch)
        : incidentId({ kind: 'vm', vmId: vmId(name) }, epoch);
    fc.assert(
      fc.property(target, target, (x, y) => {
        const same = x.kind === y.kind && x.name === y.name && x.epoch === y.epoch;
        return (idOf(x) === idOf(y)) === same;
      }),
    );
  });

  it('numbers its evidence', () => {
    const incident = incidentId({ kind: 'host', hostId: hostId('hv-a') }, 2);
    expect(evidenceId(incident, 7)).toBe('host-hv-a-2-ev7');
  });
});

it('gives no two things the same workflow ID', () => {
  fc.assert(
    fc.property(anyId, anyId, (x, y) => {
      const all = [
        workflowIds.host(hostId(x)),
        workflowIds.fence(hostId(x)),
        workflowIds.locks(hostId(x)),
        workflowIds.vm(vmId(x)),
        workflowIds.watch(x),
        workflowIds.rehearsal(x, y),
        ...(x === y
          ? []
          : [workflowIds.host(hostId(y)), workflowIds.fence(hostId(y)), workflowIds.vm(vmId(y))]),
      ];
      return new Set(all).size === all.length;
    }),
  );
});
