import type { HypervisorPort } from '../../activities/ports';
import type { HostId, VmId } from '../../domain/ids';
import type { StoredDefinition } from '../../domain/records';
import { type ContractCase, eventually, faultCode, notAborted, within } from './contract';
import { pausedAndStopping, seen } from './hypervisor-paused.contract';
import { permitFor } from './permits';

export interface ContractVm {
  readonly vmId: VmId;
  readonly name: string;
  readonly definition: StoredDefinition;
}

export interface HypervisorSubject {
  readonly port: HypervisorPort;
  /** Two hosts that share a folder or pool of images. */
  readonly a: HostId;
  readonly b: HostId;
  /** The longest that a call to a host that does not answer may take. */
  readonly patienceMs: number;
  readonly world: {
    powerOff(host: HostId): Promise<void>;
    killDaemon(host: HostId): Promise<void>;
    startDaemon(host: HostId): Promise<void>;
    hangDaemon(host: HostId): Promise<void>;
    resumeDaemon(host: HostId): Promise<void>;
    /** Ends the guest by hand, at its host. */
    destroy(host: HostId, vm: VmId): Promise<void>;
    /** Stops the guest where it stands, by hand. */
    pause(host: HostId, vm: VmId): Promise<void>;
    setAutostart(host: HostId, vm: VmId): Promise<void>;
    /** Hosts on which a process of the VM exists, seen without the port. */
    runsOn(vm: VmId): Promise<HostId[]>;
  };
  /** A VM that runs on the host; persistent ones are defined there. */
  startedVm(host: HostId, kind: 'persistent' | 'transient'): Promise<ContractVm>;
  /** A VM that is defined on the host and does not run. */
  definedVm(host: HostId): Promise<ContractVm>;
}

type Case = ContractCase<HypervisorSubject>;

const noAnswer = ['HYPERVISOR_UNREACHABLE', 'LIST_INCOMPLETE', 'HYPERVISOR_BUSY'];

const probing: readonly Case[] = [
  {
    name: 'a probe of a well host answers, and counts what runs',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      const sign = await s.port.probe(s.a, notAborted());
      expect(sign).toMatchObject({ source: 'hypervisor', says: 'answers' });
      expect(sign.says === 'answers' && sign.runningVms).toBeGreaterThanOrEqual(1);
      expect(await s.world.runsOn(vmId)).toEqual([s.a]);
    },
  },
  {
    name: 'a probe of a host without power never says that it answers, and never throws',
    async run(s) {
      await s.world.powerOff(s.a);
      const call = s.port.probe(s.a, notAborted());
      await within(s.patienceMs, call);
      expect(['silent', 'refused']).toContain((await call).says);
    },
  },
  {
    name: 'a probe tells a dead daemon from a hung one',
    needs: 'hung-daemon',
    async run(s) {
      await s.world.hangDaemon(s.a);
      expect((await s.port.probe(s.a, notAborted())).says).toBe('hung');
      await s.world.resumeDaemon(s.a);
      await s.world.killDaemon(s.a);
      expect((await s.port.probe(s.a, notAborted())).says).toBe('refused');
    },
  },
  {
    name: 'a probe whose caller gave up says nothing good of the host',
    needs: 'hung-daemon',
    async run(s) {
      await s.world.hangDaemon(s.a);
      const call = s.port.probe(s.a, AbortSignal.timeout(50));
      await within(3_000, call);
      expect((await call).says).not.toBe('answers');
    },
  },
];

const listing: readonly Case[] = [
  {
    name: 'a list shows a persistent VM as what it is',
    async run(s) {
      const { name, vmId } = await s.startedVm(s.a, 'persistent');
      const before = Date.now();
      const list = await s.port.list(s.a, notAborted());
      expect(list.hostId).toBe(s.a);
      expect(Date.parse(list.observedAt)).toBeGreaterThanOrEqual(before - 1);
      expect(await seen(s, s.a, vmId)).toMatchObject({ vmId, name, state: 'running', persistent: true });
    },
  },
  {
    name: 'a list shows a transient VM as what it is, until it was ended',
    needs: 'transient-vms',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'transient');
      expect(await seen(s, s.a, vmId)).toMatchObject({ state: 'running', persistent: false });
      await s.world.destroy(s.a, vmId);
      expect(await seen(s, s.a, vmId)).toBeUndefined();
    },
  },
  {
    name: 'a persistent VM that was ended is at rest',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      await s.world.destroy(s.a, vmId);
      expect(await seen(s, s.a, vmId)).toMatchObject({ state: 'shut-off' });
    },
  },
  {
    name: 'a list tells why a VM is off',
    needs: 'stop-reasons',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      await s.world.destroy(s.a, vmId);
      expect(await seen(s, s.a, vmId)).toMatchObject({ reason: 'destroyed' });
    },
  },
  {
    name: 'a host without power has no list, not an empty one',
    async run(s) {
      await s.world.powerOff(s.a);
      const call = s.port.list(s.a, notAborted());
      await within(s.patienceMs, call);
      expect(noAnswer).toContain(await faultCode(call));
    },
  },
  {
    name: 'a dead daemon has no list, and a new one finds the guests that ran on',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      await s.world.killDaemon(s.a);
      expect(noAnswer).toContain(await faultCode(s.port.list(s.a, notAborted())));
      await s.world.startDaemon(s.a);
      await eventually(10_000, async () => (await s.port.probe(s.a, notAborted())).says === 'answers');
      expect(await seen(s, s.a, vmId)).toMatchObject({ state: 'running' });
    },
  },
  {
    name: 'a hung daemon has no list, and delays no other host',
    needs: 'hung-daemon',
    async run(s) {
      await s.world.hangDaemon(s.a);
      const hung = s.port.list(s.a, notAborted());
      hung.catch(() => undefined);
      const list = await s.port.list(s.b, notAborted());
      expect(list.hostId).toBe(s.b);
      await within(s.patienceMs, hung);
      expect(noAnswer).toContain(await faultCode(hung));
    },
  },
  {
    name: 'a list ends soon after its caller gave up',
    needs: 'hung-daemon',
    async run(s) {
      await s.world.hangDaemon(s.a);
      const call = s.port.list(s.a, AbortSignal.timeout(100));
      await within(3_000, call);
      expect(noAnswer).toContain(await faultCode(call));
    },
  },
];

const defining: readonly Case[] = [
  {
    name: 'reads definitions with their shape, all or those asked for',
    async run(s) {
      const one = await s.startedVm(s.a, 'persistent');
      const two = await s.definedVm(s.a);
      const all = await s.port.definitions(s.a, undefined, notAborted());
      expect(all.map((d) => d.vmId)).toEqual(expect.arrayContaining([one.vmId, two.vmId]));
      const [only, ...rest] = await s.port.definitions(s.a, [two.vmId], notAborted());
      expect(rest).toEqual([]);
      expect(only).toMatchObject({ vmId: two.vmId, name: two.name, persistent: true });
      expect(only?.shape.memoryMiB).toBeGreaterThan(0);
      expect(only?.shape.vcpus).toBeGreaterThan(0);
      expect(only?.shape.disks[0]?.path).toMatch(/^\//);
    },
  },
  {
    name: 'reads the definition of a transient VM, and leaves it out once the VM is gone',
    needs: 'transient-vms',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'transient');
      const [read] = await s.port.definitions(s.a, [vmId], notAborted());
      expect(read).toMatchObject({ vmId, persistent: false });
      await s.world.destroy(s.a, vmId);
      expect(await s.port.definitions(s.a, [vmId], notAborted())).toEqual([]);
    },
  },
  {
    name: 'defines without starting, any number of times',
    async run(s) {
      const { vmId, definition } = await s.definedVm(s.a);
      for (let i = 0; i < 2; i += 1)
        expect(await s.port.define(s.b, definition, notAborted())).toEqual({ kind: 'ok' });
      expect(await seen(s, s.b, vmId)).toMatchObject({ state: 'shut-off', persistent: true });
      expect(await s.world.runsOn(vmId)).toEqual([]);
    },
  },
  {
    name: 'refuses a definition that cannot be read',
    async run(s) {
      const { definition } = await s.definedVm(s.a);
      const outcome = await s.port.define(s.b, { ...definition, text: '<domain' }, notAborted());
      expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'DEFINE_REFUSED' } });
    },
  },
  {
    name: 'takes a definition away, and finds nothing to do the second time',
    async run(s) {
      const { vmId } = await s.definedVm(s.a);
      for (let i = 0; i < 2; i += 1)
        expect(await s.port.undefine(s.a, vmId, notAborted())).toEqual({ kind: 'ok' });
      expect(await seen(s, s.a, vmId)).toBeUndefined();
    },
  },
  {
    name: 'refuses to take the definition of a running VM away',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      expect(await s.port.undefine(s.a, vmId, notAborted())).toMatchObject({ kind: 'refused' });
      expect(await seen(s, s.a, vmId)).toMatchObject({ state: 'running', persistent: true });
    },
  },
  {
    name: 'keeps a host from starting a VM by itself',
    async run(s) {
      const { vmId } = await s.definedVm(s.a);
      await s.world.setAutostart(s.a, vmId);
      for (let i = 0; i < 2; i += 1)
        expect(await s.port.disableAutostart(s.a, vmId, notAborted())).toEqual({ kind: 'ok' });
      const [read] = await s.port.definitions(s.a, [vmId], notAborted());
      expect(read?.autostart).toBe(false);
    },
  },
];

const starting: readonly Case[] = [
  {
    name: 'starts a defined VM once, however often it is told to',
    async run(s) {
      const { vmId, definition } = await s.definedVm(s.b);
      for (let i = 0; i < 2; i += 1)
        expect(await s.port.start(permitFor(vmId, s.b), definition, true, notAborted())).toEqual({
          kind: 'ok',
        });
      expect(await s.world.runsOn(vmId)).toEqual([s.b]);
    },
  },
  {
    name: 'creates a transient VM from its stored definition',
    needs: 'transient-vms',
    async run(s) {
      const { vmId, definition } = await s.startedVm(s.a, 'transient');
      await s.world.destroy(s.a, vmId);
      expect(await s.port.start(permitFor(vmId, s.b), definition, false, notAborted())).toEqual({
        kind: 'ok',
      });
      expect(await seen(s, s.b, vmId)).toMatchObject({ state: 'running', persistent: false });
    },
  },
  {
    name: 'refuses to start a VM whose disk another host holds open, and says which disk',
    needs: 'image-locks',
    async run(s) {
      const { vmId, definition } = await s.startedVm(s.a, 'persistent');
      await s.port.define(s.b, definition, notAborted());
      const outcome = await s.port.start(permitFor(vmId, s.b), definition, true, notAborted());
      expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'LOCK_HELD' } });
      expect(outcome.kind === 'refused' && outcome.fault.facts['path']).toMatch(/^\//);
      expect(await s.world.runsOn(vmId)).toEqual([s.a]);
    },
  },
  {
    name: 'starts the VM elsewhere once its host lost its power',
    async run(s) {
      const { vmId, definition } = await s.startedVm(s.a, 'persistent');
      await s.port.define(s.b, definition, notAborted());
      await s.world.powerOff(s.a);
      expect(await s.port.start(permitFor(vmId, s.b), definition, true, notAborted())).toEqual({
        kind: 'ok',
      });
      expect(await s.world.runsOn(vmId)).toEqual([s.b]);
    },
  },
  {
    name: 'refuses a permit that has aged',
    async run(s) {
      const { vmId, definition } = await s.definedVm(s.b);
      const aged = permitFor(vmId, s.b, 600_000);
      const outcome = await s.port.start(aged, definition, true, notAborted());
      expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'PERMIT_REFUSED' } });
      expect(await s.world.runsOn(vmId)).toEqual([]);
    },
  },
  {
    name: 'refuses to start a persistent VM that is not defined there',
    async run(s) {
      const { vmId, definition } = await s.definedVm(s.a);
      const outcome = await s.port.start(permitFor(vmId, s.b), definition, true, notAborted());
      expect(outcome.kind).toBe('refused');
      expect(await s.world.runsOn(vmId)).toEqual([]);
    },
  },
  {
    name: 'never says "done" or "refused" for a host without power',
    async run(s) {
      const { vmId, definition } = await s.definedVm(s.a);
      await s.world.powerOff(s.b);
      const call = s.port.start(permitFor(vmId, s.b), definition, true, notAborted());
      await within(s.patienceMs, call);
      expect(['unreachable', 'unknown']).toContain((await call).kind);
    },
  },
  {
    name: 'never says "done" or "refused" for a daemon that took the act in and hangs',
    needs: 'hung-daemon',
    async run(s) {
      const { vmId, definition } = await s.definedVm(s.b);
      await s.world.hangDaemon(s.b);
      const call = s.port.start(permitFor(vmId, s.b), definition, true, notAborted());
      await within(s.patienceMs, call);
      expect(['unreachable', 'unknown']).toContain((await call).kind);
    },
  },
];

export const hypervisorContract: readonly Case[] = [
  ...[...probing, ...listing, ...defining, ...starting],
  ...pausedAndStopping,
];
