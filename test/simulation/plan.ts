/**
 * What one seed stands for: a cluster, a failure, and what goes wrong on top of it. Pure: the same seed is the same plan. The order in which
 * calls meet it is the machine's, so a seed that failed is repeated several times by the command it prints.
 */
import type { FaultCode } from '../../domain/faults';
import type { FaultRule, Strike } from '../../drivers/simulated/fault-rules';
import type { PortName } from '../../drivers/simulated/journal';
import { mulberry32, sampleWorld } from '../../drivers/simulated/sample-world';
import type { WorldSpec } from '../../drivers/simulated/world-spec';
import { quickPolicy } from '../support/recovery-system';

export interface WorldEvent {
  /** After so many calls to this cluster's ports. */
  readonly afterCalls: number;
  readonly control: string;
  readonly args: readonly unknown[];
}

export interface Plan {
  readonly seed: number;
  readonly prefix: string;
  readonly spec: WorldSpec;
  readonly failure: string;
  /** Done before the recovery is asked for. */
  readonly beginning: readonly { readonly control: string; readonly args: readonly unknown[] }[];
  readonly rules: readonly FaultRule[];
  readonly events: readonly WorldEvent[];
}

/** Quick, and yet no quicker than fifty clusters at once can be looked at. */
const policy = { ...quickPolicy, confirmEveryMs: 60, fenceRetryMs: { first: 100, max: 400 } };

type Random = () => number;
const pick = <T>(random: Random, of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
const upTo = (random: Random, n: number): number => Math.floor(random() * (n + 1));

const failures = [
  'power-cut',
  'power-cut-bmc-too',
  'frozen',
  'daemon-dead',
  'rebooted',
  'two-hosts',
  'well',
] as const;

export function planOf(seed: number): Plan {
  const random = mulberry32(seed);
  const prefix = `s${seed}-`;
  const hosts = 3 + upTo(random, 2);
  const spec = sampleWorld({
    hosts,
    prefix,
    seed,
    clusterId: `s${seed}`,
    vmsPerHost: 1 + upTo(random, 2),
    storage: pick(random, ['dir', 'dir', 'nfs', 'lvm'] as const),
    ...(random() < 0.3 ? { transientEvery: 2 } : {}),
    policy,
  });
  const host = (index: number): string => `${prefix}hv-${String.fromCharCode(97 + index)}`;
  const failure = pick(random, failures);
  return {
    ...{ seed, prefix, spec, failure },
    beginning: beginningOf(failure, host),
    rules: Array.from({ length: upTo(random, 3) }, (_, i) => ruleOf(random, `rule-${i}`)),
    events: Array.from({ length: upTo(random, 2) }, () => eventOf(random, host, hosts)),
  };
}

function beginningOf(failure: (typeof failures)[number], host: (i: number) => string): Plan['beginning'] {
  const cut = (i: number) => ({ control: 'cutPower', args: [host(i)] });
  switch (failure) {
    case 'power-cut':
      return [cut(0)];
    case 'power-cut-bmc-too':
      return [{ control: 'cutPower', args: [host(0), { bmcToo: true }] }];
    case 'frozen':
      return [{ control: 'freeze', args: [host(0)] }];
    case 'daemon-dead':
      return [{ control: 'killDaemon', args: [host(0)] }];
    case 'rebooted':
      return [cut(0), { control: 'powerOn', args: [host(0)] }];
    case 'two-hosts':
      return [cut(0), cut(1)];
    case 'well':
      return [];
  }
}

interface Target {
  readonly port: PortName;
  readonly call: string;
  readonly fault: FaultCode;
  readonly acts: boolean;
}

const targets: readonly Target[] = [
  { port: 'hypervisor', call: 'list', fault: 'LIST_INCOMPLETE', acts: false },
  { port: 'hypervisor', call: 'define', fault: 'DEFINE_REFUSED', acts: true },
  { port: 'hypervisor', call: 'start', fault: 'START_REFUSED', acts: true },
  { port: 'hypervisor', call: 'undefine', fault: 'HYPERVISOR_UNREACHABLE', acts: true },
  { port: 'fencing', call: 'status', fault: 'FENCE_DEVICE_SILENT', acts: false },
  { port: 'fencing', call: 'status', fault: 'FENCE_LOGIN_REFUSED', acts: false },
  { port: 'fencing', call: 'off', fault: 'FENCE_OFF_NOT_TAKEN', acts: true },
  { port: 'hostCommands', call: 'markHealth', fault: 'HOST_COMMAND_FAILED', acts: false },
  { port: 'volumes', call: 'makeReady', fault: 'HOST_COMMAND_FAILED', acts: true },
  { port: 'storageLocks', call: 'list', fault: 'HOST_COMMAND_FAILED', acts: false },
];

function ruleOf(random: Random, id: string): FaultRule {
  const target = pick(random, targets);
  const strikes: Strike[] = [
    { kind: 'fail-before', fault: { code: target.fault } },
    { kind: 'delay', ms: 30 },
    { kind: 'hang', ms: 40 },
  ];
  if (target.acts)
    strikes.push(
      { kind: 'fail-after', fault: { code: target.fault } },
      { kind: 'outcome-unknown', effect: true },
      { kind: 'outcome-unknown', effect: false },
    );
  const { port, call } = target;
  return { id, port, call, after: upTo(random, 3), times: 1 + upTo(random, 3), then: pick(random, strikes) };
}

function eventOf(random: Random, host: (i: number) => string, hosts: number): WorldEvent {
  const victim = host(upTo(random, hosts - 1));
  const [control, args] = pick<readonly [string, readonly unknown[]]>(random, [
    ['cutPower', [victim]],
    ['freeze', [victim]],
    ['thaw', [host(0)]],
    ['powerOn', [host(0)]],
    ['hangDaemon', [victim]],
    ['resumeDaemon', [victim]],
    ['startDaemon', [host(0)]],
    ['setNetwork', [victim, 'cut']],
    ['setDevice', [`${host(0)}-bmc`, { mode: pick(random, ['silent', 'works', 'says-ok', 'not-taken']) }]],
  ]);
  return { afterCalls: 5 + upTo(random, 60), control, args };
}
