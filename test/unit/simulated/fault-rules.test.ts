import { fenceDeviceId, hostId } from '../../../domain/ids';
import {
  type CallHooks,
  controlsOf,
  type FaultRule,
  sampleWorld,
  simulatedPorts,
  World,
} from '../../../drivers/simulated';
import { faultCode } from '../../contracts/contract';
import { permitFor } from '../../contracts/permits';

const a = hostId('hv-a');
const b = hostId('hv-b');
const bmc = { id: fenceDeviceId('hv-a-bmc'), agent: 'simulated' };
const forever = new AbortController().signal;

function made(hooks: CallHooks = {}) {
  const world = new World(sampleWorld({ hosts: 2, vmsPerHost: 1, costs: { silenceMs: 5 } }));
  const vm = world.spec.vms.find((v) => v.hostId === a)!;
  const text = world.host(a).definitions.get(vm.id)!.text;
  const definition = { vmId: vm.id, version: 1, text, readFrom: a, readAt: world.now() };
  const rule = (call: Pick<FaultRule, 'port' | 'call' | 'then'> & Partial<FaultRule>): void =>
    world.rules.add({ id: 'rule', ...call });
  return { world, vm, definition, rule, ports: simulatedPorts(world, hooks), controls: controlsOf(world) };
}

const power = (on: { world: World }): string => on.world.host(a).power;

it('lets calls pass before it strikes, strikes as often as told, and is then spent', async () => {
  const m = made();
  m.rule({
    ...{ port: 'hypervisor', call: 'list', target: b, after: 1, times: 2 },
    then: { kind: 'fail-before', fault: { code: 'HYPERVISOR_BUSY' } },
  });
  const ends: string[] = [];
  for (let i = 0; i < 5; i += 1)
    ends.push(
      await m.ports.hypervisor.list(b, forever).then(
        () => 'ok',
        () => 'fault',
      ),
    );
  expect(ends).toEqual(['ok', 'fault', 'fault', 'ok', 'ok']);
  expect(m.controls.struck('rule')).toBe(2);
  expect((await m.ports.hypervisor.list(a, forever)).hostId).toBe(a);
});

it('is gone once cleared', async () => {
  const m = made();
  const then = { kind: 'fail-before', fault: { code: 'HYPERVISOR_BUSY' } } as const;
  m.rule({ port: 'hypervisor', call: 'list', then });
  m.controls.clearRule('rule');
  expect((await m.ports.hypervisor.list(a, forever)).hostId).toBe(a);
});

it('fails before the effect, or after it', async () => {
  const m = made();
  const fault = { code: 'FENCE_DEVICE_SILENT', facts: { detail: 'on order' } } as const;
  m.rule({ port: 'fencing', call: 'off', then: { kind: 'fail-before', fault } });
  expect(await faultCode(m.ports.fencing.off(a, bmc, forever))).toBe('FENCE_DEVICE_SILENT');
  expect(power(m)).toBe('on');
  m.rule({ port: 'fencing', call: 'off', then: { kind: 'fail-after', fault } });
  expect(await faultCode(m.ports.fencing.off(a, bmc, forever))).toBe('FENCE_DEVICE_SILENT');
  expect(power(m)).toBe('off');
});

it.each([
  [true, 'off'],
  [false, 'on'],
])('leaves the outcome unknown, with the effect (%p) or without', async (effect, expected) => {
  const m = made();
  m.rule({ port: 'fencing', call: 'off', then: { kind: 'outcome-unknown', effect } });
  expect(await faultCode(m.ports.fencing.off(a, bmc, forever))).toBe('FENCE_OUTCOME_UNKNOWN');
  expect(power(m)).toBe(expected);
});

it('gives an act of the hypervisor its outcome, by the class of the fault', async () => {
  const m = made();
  const start = () => m.ports.hypervisor.start(permitFor(m.vm.id, b), m.definition, true, forever);
  const order = (code: 'START_REFUSED' | 'HYPERVISOR_UNREACHABLE' | 'CALL_OUTCOME_UNKNOWN'): void =>
    m.rule({ port: 'hypervisor', call: 'start', then: { kind: 'fail-before', fault: { code } } });
  order('START_REFUSED');
  expect(await start()).toMatchObject({ kind: 'refused', fault: { code: 'START_REFUSED' } });
  order('HYPERVISOR_UNREACHABLE');
  expect(await start()).toMatchObject({ kind: 'unreachable' });
  order('CALL_OUTCOME_UNKNOWN');
  expect(await start()).toMatchObject({ kind: 'unknown' });
});

it('hangs until the driver’s deadline or the caller’s end, whichever is first', async () => {
  const m = made();
  m.rule({ port: 'hypervisor', call: 'list', then: { kind: 'hang', ms: 10_000 } });
  const begun = Date.now();
  const call = m.ports.hypervisor.list(b, AbortSignal.timeout(20));
  expect(await faultCode(call)).toBe('HYPERVISOR_UNREACHABLE');
  expect(Date.now() - begun).toBeLessThan(5_000);
});

it('lies: an answer with nothing behind it', async () => {
  const m = made();
  m.rule({ port: 'fencing', call: 'status', then: { kind: 'lie', answer: { power: 'off' } } });
  const reading = await m.ports.fencing.status(a, bmc, forever);
  expect(reading).toMatchObject({ hostId: a, deviceId: bmc.id, power: 'off' });
  expect(Date.parse(reading.observedAt)).not.toBeNaN();
  m.rule({ port: 'fencing', call: 'off', then: { kind: 'lie', answer: null } });
  await m.ports.fencing.off(a, bmc, forever);
  expect(power(m)).toBe('on');
});

it('turns a switch of the world at that very moment', async () => {
  const m = made();
  m.rule({
    ...{ port: 'hypervisor', call: 'list', target: b, times: 1 },
    then: { kind: 'world', when: 'after', control: 'cutPower', args: [a] },
  });
  expect((await m.ports.hypervisor.list(b, forever)).hostId).toBe(b);
  expect(power(m)).toBe('off');
});

it.each([
  ['before', 'on'],
  ['after', 'off'],
] as const)('ends the worker %s the effect, and never answers it', async (when, expected) => {
  let ended = 0;
  const m = made({ crashWorker: () => void (ended += 1) });
  m.rule({ port: 'fencing', call: 'off', then: { kind: 'crash-worker', when } });
  const caller = new AbortController();
  const call = m.ports.fencing.off(a, bmc, caller.signal);
  while (ended === 0) await new Promise((resolve) => setImmediate(resolve));
  const first = await Promise.race([
    call.then(
      () => 'answered',
      () => 'fault',
    ),
    Promise.resolve('nothing'),
  ]);
  expect([first, ended, power(m)]).toEqual(['nothing', 1, expected]);
  caller.abort();
  expect(await faultCode(call)).toBe('FENCE_OUTCOME_UNKNOWN');
});

it('calls hooks around every call, and lets a test act there', async () => {
  const seen: string[] = [];
  const m = made({
    before: ({ call }) => void seen.push(`before ${call}`),
    after: ({ call }) => void seen.push(`after ${call}`),
  });
  await m.ports.hypervisor.probe(a, forever);
  await m.ports.fencing.status(a, bmc, forever);
  expect(seen).toEqual(['before probe', 'after probe', 'before status', 'after status']);
});

it('writes every call, its answer and its effects down in one order', async () => {
  const m = made();
  await m.ports.fencing.off(a, bmc, forever);
  const since = m.world.journal.since().filter((e) => e.kind !== 'effect' || e.effect !== 'process-started');
  const words = since.map((e) =>
    e.kind === 'effect' ? e.effect : `${e.kind} ${e.port}.${e.call} ${e.target}`,
  );
  expect(words).toEqual(['call fencing.off hv-a', 'process-ended', 'power-off', 'answer fencing.off hv-a']);
  const seqs = m.world.journal.since().map((e) => e.seq);
  expect(seqs).toEqual([...seqs].sort((x, y) => x - y));
  expect(new Set(seqs).size).toBe(seqs.length);
});
