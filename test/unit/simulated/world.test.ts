import type { FenceDevice } from '../../../domain/fleet';
import { fenceDeviceId, hostId } from '../../../domain/ids';
import {
  controlsOf,
  type SampleOptions,
  sampleWorld,
  simulatedPorts,
  type SimulatedPorts,
  World,
  type WorldControls,
} from '../../../drivers/simulated';
import { permitFor } from '../../contracts/permits';

const a = hostId('hv-a');
const b = hostId('hv-b');
const forever = new AbortController().signal;
const device = (name: string): FenceDevice => ({ id: fenceDeviceId(name), agent: 'simulated' });

interface Made {
  readonly world: World;
  readonly ports: SimulatedPorts;
  readonly controls: WorldControls;
}

function made(options: Partial<SampleOptions> = {}): Made {
  const world = new World(sampleWorld({ hosts: 2, vmsPerHost: 1, costs: { silenceMs: 5 }, ...options }));
  return { world, ports: simulatedPorts(world), controls: controlsOf(world) };
}

const first = (world: World) => {
  const vm = world.spec.vms.find((v) => v.hostId === a)!;
  const text = world.host(a).definitions.get(vm.id)!.text;
  const definition = { vmId: vm.id, version: 1, text, readFrom: a, readAt: world.now() };
  return { vm, definition, path: vm.disks[0]!.path };
};

const boots = (world: World, path: string): string =>
  world.storage.disks
    .get(path)!
    .writes.map((w) => w.hostId.slice(-1))
    .join('');

describe('writers', () => {
  it('leave one contiguous run each when they come one after the other', async () => {
    const { world, ports, controls } = made();
    const { vm, definition, path } = first(world);
    controls.cutPower(a);
    await ports.hypervisor.define(b, definition, forever);
    await ports.hypervisor.start(permitFor(vm.id, b), definition, true, forever);
    expect(boots(world, path)).toBe('ab');
  });

  it('leave an interleaving on storage without locks, where nothing stops the second', async () => {
    const { world, ports, controls } = made();
    const { vm, definition, path } = first(world);
    controls.setLockless(world.spec.pools[0]!.id, true);
    controls.destroyByHand(a, vm.id);
    controls.startByHand(a, vm.id);
    await ports.hypervisor.define(b, definition, forever);
    const started = await ports.hypervisor.start(permitFor(vm.id, b), definition, true, forever);
    expect(started).toEqual({ kind: 'ok' });
    expect(boots(world, path)).toBe('aabab');
  });

  it('that stood still write again at once when their host wakes up', () => {
    const { world, controls } = made();
    const { vm, path } = first(world);
    controls.freeze(a);
    controls.removeLock(path);
    controls.defineByHand(b, vm.id, vm.name, world.host(a).definitions.get(vm.id)!.text);
    controls.startByHand(b, vm.id);
    expect(boots(world, path)).toBe('abb');
    controls.thaw(a);
    expect(boots(world, path)).toMatch(/^abb.*a/);
  });

  it('start by themselves at power-on where autostart was left on', () => {
    const { world, controls } = made();
    const { vm } = first(world);
    controls.setAutostart(a, vm.id, true);
    controls.cutPower(a);
    controls.powerOn(a);
    expect(world.processOf(vm.id, a)).toMatchObject({ by: 'autostart', permit: undefined });
  });

  it('are refused beyond the host’s memory', () => {
    const { world, controls } = made({ vmsPerHost: 2 });
    const { vm } = first(world);
    const host = world.host(b);
    Object.assign(host.spec.capacity, { memoryMiB: 8 });
    controls.cutPower(a);
    controls.defineByHand(b, vm.id, vm.name, world.host(a).definitions.get(vm.id)!.text);
    expect(controls.startByHand(b, vm.id)).toBe(false);
  });
});

describe('locks at a server', () => {
  it('outlive a power cut, and keep a start off with the dead host’s name', async () => {
    const { world, ports, controls } = made({ storage: 'nfs' });
    const { vm, definition } = first(world);
    controls.cutPower(a);
    await ports.hypervisor.define(b, definition, forever);
    const outcome = await ports.hypervisor.start(permitFor(vm.id, b), definition, true, forever);
    expect(outcome).toMatchObject({
      kind: 'refused',
      fault: { code: 'LOCK_HELD', facts: { holder: 'hv-a' } },
    });
  });

  it('are forgotten when the host itself comes back', () => {
    const { world, controls } = made({ storage: 'nfs' });
    controls.cutPower(a);
    controls.powerOn(a);
    expect(world.storage.lockOn(first(world).path)).toBeUndefined();
  });

  it('end by themselves after their lease', () => {
    let nowMs = 0;
    const spec = sampleWorld({ hosts: 2, vmsPerHost: 1, storage: 'nfs' });
    const pools = spec.pools.map((p) => ({ ...p, lockStrategy: 'nfs4-lease' as const, leaseMs: 90_000 }));
    const world = new World({ ...spec, pools }, () => nowMs);
    world.cutPower(a);
    nowMs = 89_999;
    expect(world.storage.lockOn(first(world).path)).toMatchObject({ owner: a });
    nowMs = 90_000;
    expect(world.storage.lockOn(first(world).path)).toBeUndefined();
  });
});

describe('fence devices', () => {
  it('switch the host that they are wired to, whatever host they are asked for', async () => {
    const { world, ports } = made();
    await ports.fencing.off(a, device('hv-b-bmc'), forever);
    expect([world.host(a).power, world.host(b).power]).toEqual(['on', 'off']);
  });

  it('of two supplies leave the host on until both are off', async () => {
    const spec = sampleWorld({ hosts: 1, vmsPerHost: 0 });
    const devices = ['psu-1', 'psu-2'].map((id) => ({
      ...{ id: fenceDeviceId(id), wiredTo: a },
      kind: 'feed' as const,
    }));
    const world = new World({ ...spec, devices });
    const ports = simulatedPorts(world);
    await ports.fencing.off(a, device('psu-1'), forever);
    expect(world.host(a).power).toBe('on');
    expect((await ports.fencing.status(a, device('psu-1'), forever)).power).toBe('off');
    await ports.fencing.off(a, device('psu-2'), forever);
    expect(world.host(a).power).toBe('off');
  });

  it('can lie about what they read', async () => {
    const { world, ports, controls } = made();
    controls.setDevice(fenceDeviceId('hv-a-bmc'), { mode: 'claims-off' });
    await ports.fencing.off(a, device('hv-a-bmc'), forever);
    expect((await ports.fencing.status(a, device('hv-a-bmc'), forever)).power).toBe('off');
    expect(world.host(a).power).toBe('on');
  });
});

describe('what was sent', () => {
  it('happens though its caller gave up', async () => {
    const { world, ports } = made({ costs: { startMs: 40, silenceMs: 5 } });
    const { vm, definition } = first(world);
    world.cutPower(a);
    await ports.hypervisor.define(b, definition, forever);
    const call = ports.hypervisor.start(permitFor(vm.id, b), definition, true, AbortSignal.timeout(5));
    expect(await call).toMatchObject({ kind: 'unknown', fault: { code: 'CALL_OUTCOME_UNKNOWN' } });
    expect(world.processOf(vm.id, b)).toBeUndefined();
    while (world.processOf(vm.id, b) === undefined) await new Promise((r) => setTimeout(r, 5));
    expect(world.processOf(vm.id, b)).toMatchObject({ by: 'port' });
  });

  it('happens when a hung daemon goes on, and never when its host lost its power', async () => {
    const { world, ports, controls } = made();
    const { vm, definition } = first(world);
    controls.cutPower(a);
    await ports.hypervisor.define(b, definition, forever);
    controls.hangDaemon(b);
    const start = () => ports.hypervisor.start(permitFor(vm.id, b), definition, true, forever);
    expect((await start()).kind).toBe('unknown');
    controls.resumeDaemon(b);
    expect(world.processOf(vm.id, b)).toBeDefined();

    controls.destroyByHand(b, vm.id);
    controls.hangDaemon(b);
    expect((await start()).kind).toBe('unknown');
    controls.cutPower(b);
    controls.powerOn(b);
    expect(world.processOf(vm.id, b)).toBeUndefined();
  });

  it('is unknown when the host lost its power under way', async () => {
    const { world, ports } = made({ costs: { startMs: 30, silenceMs: 5 } });
    const { vm, definition } = first(world);
    world.cutPower(a);
    await ports.hypervisor.define(b, definition, forever);
    const call = ports.hypervisor.start(permitFor(vm.id, b), definition, true, forever);
    await new Promise((resolve) => setImmediate(resolve));
    world.cutPower(b);
    expect((await call).kind).toBe('unknown');
  });
});

it('makes the same datacenter from the same seed, and room for all VMs on one host', () => {
  expect(sampleWorld({ hosts: 3, vmsPerHost: 4, seed: 7 })).toEqual(
    sampleWorld({ hosts: 3, vmsPerHost: 4, seed: 7 }),
  );
  const ids = [7, 8].flatMap((seed) => sampleWorld({ hosts: 3, vmsPerHost: 4, seed }).vms.map((v) => v.id));
  expect(new Set(ids).size).toBe(24);
});
