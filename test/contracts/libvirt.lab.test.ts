/** What is particular to libvirt, beyond the contract of its port: on real daemons, QEMU processes and disks. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostId, type HostId, vmId } from '../../domain/ids';
import type { StoredDefinition } from '../../domain/records';
import type { LibvirtHypervisor } from '../../drivers/libvirt';
import type { LabHost } from '../../lab/host/lab-host';
import type { LabVm } from '../../lab/lab-vm';
import {
  definitionOf,
  type DriverLab,
  openDriverLab,
  signalDaemon,
  signalGuest,
} from '../support/driver-lab';
import { describeOnRealHosts } from '../support/real-hosts';
import { eventually, faultCode, notAborted, within } from './contract';
import { permitFor } from './permits';

const a = hostId('hv-a');
const b = hostId('hv-b');

describeOnRealHosts('libvirt on real hosts', () => {
  let world: DriverLab;
  let port: LibvirtHypervisor;

  beforeAll(async () => {
    world = await openDriverLab();
  }, 120_000);
  beforeEach(async () => {
    await world.reset();
    port = world.hypervisor();
  });
  afterEach(() => port.close());
  afterAll(() => world.close());

  const host = (id: HostId): LabHost => world.lab.host(id);
  const start = (vm: LabVm, on: HostId, persistent = true) =>
    port.start(permitFor(vmId(vm.uuid), on), definitionOf(vm), persistent, notAborted());
  const seen = async (vm: LabVm, on: HostId) =>
    (await port.list(on, notAborted())).vms.find((v) => v.vmId === vm.uuid);
  const defined = async (on: HostId): Promise<LabVm> => {
    const vm = await world.newVm({ home: on });
    await vm.define();
    return vm;
  };
  const running = async (on: HostId, transient = false): Promise<LabVm> => {
    const vm = transient ? await world.newVm({ home: on, transient }) : await defined(on);
    await vm.start();
    await vm.beatsBeyond(0);
    return vm;
  };

  describe('a stopped daemon', () => {
    it('is silent, and delays no other host', async () => {
      await signalDaemon(host(a), 'STOP');
      const hung = Promise.allSettled([
        ...Array.from({ length: 6 }, () => port.list(a, notAborted())),
        port.probe(a, notAborted()),
      ]);
      const took: number[] = [];
      for (let i = 0; i < 10; i++) took.push(await within(3_000, port.list(b, notAborted())));
      const median = took.sort((x, y) => x - y)[5] as number;
      process.stderr.write(`      list of the other host beside it: median ${median} ms\n`);
      expect(median).toBeLessThan(1_500);
      expect((await hung).map((h) => h.status).slice(0, 6)).toEqual(Array(6).fill('rejected'));
      expect((await port.probe(a, notAborted())).says).toBe('silent');
      await signalDaemon(host(a), 'CONT');
    });

    it('is "unreachable" once the breaker is open, never down, and heard again soon after it goes on', async () => {
      await signalDaemon(host(a), 'STOP');
      for (let i = 0; i < 3; i++)
        expect(await faultCode(port.list(a, notAborted()))).toBe('HYPERVISOR_UNREACHABLE');
      const fast = port.list(a, notAborted());
      expect(await within(1_000, fast)).toBeLessThan(1_000);
      expect(await faultCode(fast)).toBe('HYPERVISOR_UNREACHABLE');
      const vm = await world.newVm({ home: a, transient: true });
      expect((await start(vm, a, false)).kind).toBe('unreachable');
      await signalDaemon(host(a), 'CONT');
      expect((await port.probe(a, notAborted())).says).toBe('answers');
      await eventually(8_000, () =>
        port.list(a, notAborted()).then(
          () => true,
          () => false,
        ),
      );
    }, 60_000);
  });

  /** An emulator that takes its time, so that a start can be interrupted in its middle. */
  const slowStart = async (on: HostId): Promise<{ vm: LabVm; definition: StoredDefinition }> => {
    const vm = await world.newVm({ home: on });
    const emulator = join(world.lab.folder, 'slow-emulator');
    writeFileSync(
      emulator,
      '#!/bin/sh\ncase "$*" in *guest=*) sleep 4 ;; esac\nexec /usr/bin/qemu-system-x86_64 "$@"\n',
      { mode: 0o755 },
    );
    const plain = definitionOf(vm);
    const text = plain.text.replace('/usr/bin/qemu-system-x86_64', emulator);
    expect(await port.define(on, { ...plain, text }, notAborted())).toEqual({ kind: 'ok' });
    return { vm, definition: { ...plain, text } };
  };
  const underWay = (on: HostId, vm: LabVm): Promise<void> =>
    eventually(10_000, async () => {
      const script = 'grep -l "guest[=]$1" /proc/[0-9]*/cmdline 2>/dev/null | wc -l';
      return Number((await host(on).run(['sh', '-c', script, 'sh', `${vm.name},`])).trim()) > 0;
    });

  describe('a start that was not answered is unknown, and happens all the same', () => {
    const thenRunsOnce = async (vm: LabVm, on: HostId): Promise<void> => {
      await eventually(20_000, async () => (await seen(vm, on))?.state === 'running');
      expect(await world.processesOf(vm.uuid)).toEqual([on]);
    };

    it('when its deadline came first', async () => {
      const { vm, definition } = await slowStart(a);
      const impatient = world.hypervisor({ deadlines: { startMs: 2_500 } });
      const outcome = await impatient.start(permitFor(vmId(vm.uuid), a), definition, true, notAborted());
      expect(outcome).toMatchObject({ kind: 'unknown', fault: { code: 'CALL_OUTCOME_UNKNOWN' } });
      await thenRunsOnce(vm, a);
      await impatient.close();
    });

    it('when its caller gave up', async () => {
      const { vm, definition } = await slowStart(a);
      const giveUp = new AbortController();
      const call = port.start(permitFor(vmId(vm.uuid), a), definition, true, giveUp.signal);
      await underWay(a, vm);
      giveUp.abort();
      expect((await call).kind).toBe('unknown');
      await thenRunsOnce(vm, a);
    });

    it('when the gateway was killed; reads in flight fail, and the next ones are answered', async () => {
      const { vm, definition } = await slowStart(a);
      await signalDaemon(host(b), 'STOP');
      const read = port.list(b, notAborted());
      const call = port.start(permitFor(vmId(vm.uuid), a), definition, true, notAborted());
      const readEnded = faultCode(read);
      await underWay(a, vm);
      process.kill(world.gateway.pid as number, 'SIGKILL');
      expect((await call).kind).toBe('unknown');
      expect(await readEnded).toBe('HYPERVISOR_UNREACHABLE');
      await signalDaemon(host(b), 'CONT');
      expect((await port.list(b, notAborted())).hostId).toBe(b);
      await thenRunsOnce(vm, a);
    });

    it('when the daemon died over it', async () => {
      const { vm, definition } = await slowStart(a);
      const call = port.start(permitFor(vmId(vm.uuid), a), definition, true, notAborted());
      await underWay(a, vm);
      await host(a).killLibvirtd();
      expect((await call).kind).toBe('unknown');
      expect((await port.probe(a, notAborted())).says).toBe('refused');
      await host(a).startLibvirtd();
    });
  });

  describe('a VM whose disk is held open elsewhere', () => {
    const refusal = async (vm: LabVm) => {
      await port.define(b, definitionOf(vm), notAborted());
      const outcome = await start(vm, b);
      expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'LOCK_HELD' } });
      expect(await world.processesOf(vm.uuid)).not.toContain(b);
      return outcome.kind === 'refused' ? outcome.fault.facts : {};
    };

    it('is refused with its holder, and that the holder is suspended or frozen changes nothing', async () => {
      const vm = await running(a);
      expect(await refusal(vm)).toMatchObject({
        vm: vm.name,
        path: vm.entry.disk,
        holder: expect.stringContaining('hv-a (says "running")'),
      });
      await signalGuest(host(a), vm, 'STOP');
      expect((await refusal(vm))['holder']).toContain('hv-a');
      await signalGuest(host(a), vm, 'CONT');
      await host(a).virshOrThrow(['suspend', vm.name]);
      expect((await refusal(vm))['holder']).toContain('hv-a (says "paused")');
    });

    it('is refused when its host is frozen as a whole, and starts once that host is off', async () => {
      const vm = await running(a);
      await host(a).freeze();
      expect((await refusal(vm))['holder']).toContain('hv-a could not be asked');
      await host(a).powerOff();
      expect(await start(vm, b)).toEqual({ kind: 'ok' });
      await vm.beats(2);
      expect((await vm.judge()).verdict).toBe('CLEAN');
    }, 60_000);
  });

  it('reads a transient VM so that it can be made again elsewhere after it vanished', async () => {
    const vm = await running(a, true);
    const [read] = await port.definitions(a, [vmId(vm.uuid)], notAborted());
    expect(read).toMatchObject({ persistent: false, shape: { consolePath: vm.entry.serial } });
    await vm.destroy();
    expect(await seen(vm, a)).toBeUndefined();
    const stored = { ...definitionOf(vm), text: read?.text ?? '' };
    const outcome = await port.start(permitFor(vmId(vm.uuid), b), stored, false, notAborted());
    expect(outcome).toEqual({ kind: 'ok' });
    await vm.beats(1);
    expect(await seen(vm, b)).toMatchObject({ state: 'running', persistent: false });
    expect((await vm.judge()).verdict).toBe('CLEAN');
  });

  it('never starts a VM from a saved memory image, which knows nothing of what its disk has seen since', async () => {
    const vm = await running(b);
    await host(b).virshOrThrow(['managedsave', vm.name]);
    expect(await start(vm, b)).toMatchObject({ kind: 'refused', fault: { code: 'START_REFUSED' } });
    expect(await port.define(b, definitionOf(vm), notAborted())).toMatchObject({ kind: 'refused' });
    expect(await world.processesOf(vm.uuid)).toEqual([]);
    await host(b).virshOrThrow(['managedsave-remove', vm.name]);
    expect(await start(vm, b)).toEqual({ kind: 'ok' });
  });

  it('gives a definition back that was taken away from a VM started at the same moment', async () => {
    const vm = await defined(a);
    const meddler = join(world.lab.folder, 'meddler');
    writeFileSync(
      meddler,
      `#!/bin/sh\ncase "$*" in *undefine*) virsh -q -c '${host(a).uri}' start ${vm.name} >/dev/null ;; esac\nexec virsh "$@"\n`,
      { mode: 0o755 },
    );
    const beside = world.hypervisor({ virsh: meddler });
    const outcome = await beside.undefine(a, vmId(vm.uuid), notAborted());
    expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'UNDEFINE_REFUSED' } });
    expect(await seen(vm, a)).toMatchObject({ state: 'running', persistent: true });
    await beside.close();
  });

  it('starts many at once with so many acts at a time, and asks the host little', async () => {
    const vms = await Promise.all(Array.from({ length: 8 }, () => world.newVm({ home: a })));
    for (const vm of vms) await vm.define();
    const calls = join(world.lab.folder, 'calls');
    const counted = join(world.lab.folder, 'counted');
    writeFileSync(calls, '');
    writeFileSync(
      counted,
      `#!/bin/sh\ncase "$*" in *" start "*|*"start "*) what=act ;; *) what=read ;; esac\necho "+$what" >>${calls}\nvirsh "$@"; code=$?\necho "-$what" >>${calls}\nexit $code\n`,
      { mode: 0o755 },
    );
    const watched = world.hypervisor({ virsh: counted, concurrency: { acts: 3 } });
    const outcomes = await Promise.all(
      vms.map((vm) => watched.start(permitFor(vmId(vm.uuid), a), definitionOf(vm), true, notAborted())),
    );
    expect(outcomes).toEqual(vms.map(() => ({ kind: 'ok' })));
    let now = 0;
    let most = 0;
    const lines = readFileSync(calls, 'utf8').trim().split('\n');
    for (const line of lines.filter((l) => l.endsWith('act'))) {
      now += line.startsWith('+') ? 1 : -1;
      most = Math.max(most, now);
    }
    expect(most).toBe(3);
    expect(lines.filter((l) => l === '+read').length).toBeLessThanOrEqual(2);
    await watched.close();
  }, 60_000);
});
