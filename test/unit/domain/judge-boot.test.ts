import { bootByIds, bootByList } from '../../../domain/judge-boot';
import { hostId, vmId } from '../../../domain/ids';
import type { VmState } from '../../../domain/observations';

const ids = (count: number) => Array.from({ length: count }, (_, i) => vmId(`vm-${i}`));
const list = (states: readonly (VmState | 'absent')[]) => ({
  hostId: hostId('hv-a'),
  observedAt: new Date(0).toISOString(),
  vms: states.flatMap((state, i) =>
    state === 'absent'
      ? []
      : [{ vmId: vmId(`vm-${i}`), name: `vm-${i}`, state, reason: '', persistent: true }],
  ),
});

it.each([
  ['b1', 'b1', 'same'],
  ['b1', 'b2', 'new'],
  [undefined, 'b2', undefined],
  ['b1', undefined, undefined],
  [undefined, undefined, undefined],
])('boot ids %p and %p say %p: an unknown one says nothing', (known, now, says) => {
  expect(bootByIds(known, now)).toBe(says);
});

it.each([
  [['running', 'running'], 'same'],
  [['running', 'paused'], 'same'],
  [['running', 'unknown'], 'same'],
  [['running', 'shut-off'], 'new'],
  [['running', 'crashed'], 'new'],
  [['running', 'absent'], 'new'],
  [['absent', 'absent'], 'new'],
  [[], 'same'],
] as const)('a host whose own list has its VMs %j is in its %s boot', (states, says) => {
  expect(bootByList(ids(states.length), list(states))).toBe(says);
});
