/** Of the hypervisor port: VMs that stand paused, and guests that are asked to shut down. */
import type { HostId, VmId } from '../../domain/ids';
import type { ObservedVm } from '../../domain/observations';
import { type ContractCase, notAborted, within } from './contract';
import type { HypervisorSubject } from './hypervisor.contract';
import { resumePermitFor } from './permits';

type Case = ContractCase<HypervisorSubject>;

export const seen = async (s: HypervisorSubject, host: HostId, vm: VmId): Promise<ObservedVm | undefined> =>
  (await s.port.list(host, notAborted())).vms.find((v) => v.vmId === vm);

const paused: readonly Case[] = [
  {
    name: 'a paused VM goes on once it is told to, and a second time there is nothing to do',
    needs: 'paused-vms',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      await s.world.pause(s.a, vmId);
      expect(await seen(s, s.a, vmId)).toMatchObject({ state: 'paused' });
      for (let i = 0; i < 2; i += 1)
        expect(await s.port.resume(resumePermitFor(vmId, s.a), notAborted())).toEqual({ kind: 'ok' });
      expect(await seen(s, s.a, vmId)).toMatchObject({ state: 'running' });
    },
  },
  {
    name: 'refuses to let a VM go on by a permit that has aged, or one that is at rest',
    needs: 'paused-vms',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      await s.world.pause(s.a, vmId);
      const aged = await s.port.resume(resumePermitFor(vmId, s.a, 600_000), notAborted());
      expect(aged).toMatchObject({ kind: 'refused', fault: { code: 'PERMIT_REFUSED' } });
      await s.world.destroy(s.a, vmId);
      const gone = await s.port.resume(resumePermitFor(vmId, s.a), notAborted());
      expect(gone).toMatchObject({ kind: 'refused', fault: { code: 'PAUSED_VM_REFUSED' } });
      expect(await s.world.runsOn(vmId)).toEqual([]);
    },
  },
  {
    name: 'ends the process of a paused VM, and a second time there is nothing to do',
    needs: 'paused-vms',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      await s.world.pause(s.a, vmId);
      for (let i = 0; i < 2; i += 1)
        expect(await s.port.endPaused(s.a, vmId, notAborted())).toEqual({ kind: 'ok' });
      expect(await s.world.runsOn(vmId)).toEqual([]);
      expect(await seen(s, s.a, vmId)).toMatchObject({ state: 'shut-off' });
    },
  },
  {
    name: 'ends the process of a transient VM that is paused: nothing is left of it',
    needs: 'paused-vms',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'transient');
      await s.world.pause(s.a, vmId);
      expect(await s.port.endPaused(s.a, vmId, notAborted())).toEqual({ kind: 'ok' });
      expect(await s.world.runsOn(vmId)).toEqual([]);
      expect(await seen(s, s.a, vmId)).toBeUndefined();
    },
  },
  {
    name: 'refuses to end the process of a VM that runs',
    needs: 'paused-vms',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      expect(await s.port.endPaused(s.a, vmId, notAborted())).toMatchObject({
        ...{ kind: 'refused', fault: { code: 'PAUSED_VM_REFUSED' } },
      });
      expect(await s.world.runsOn(vmId)).toEqual([s.a]);
    },
  },
];

const shuttingDown: readonly Case[] = [
  {
    name: 'asks a guest to shut down without ending it by force, and finds nothing to do for one at rest',
    needs: 'asked-shutdown',
    async run(s) {
      const running = await s.startedVm(s.a, 'persistent');
      const resting = await s.definedVm(s.a);
      for (const { vmId } of [running, resting, running])
        expect(await s.port.shutDown(s.a, vmId, notAborted())).toEqual({ kind: 'ok' });
      // A guest without ACPI does not hear it, and runs on: both are what a host answers for.
      expect(['running', 'in-transition', 'shut-off']).toContain((await seen(s, s.a, running.vmId))?.state);
      expect(await seen(s, s.a, resting.vmId)).toMatchObject({ state: 'shut-off' });
    },
  },
  {
    name: 'ends the process of a VM that runs, persistent or transient, and a second time there is nothing to do',
    needs: 'asked-shutdown',
    async run(s) {
      for (const kind of ['persistent', 'transient'] as const) {
        const { vmId } = await s.startedVm(s.a, kind);
        for (let i = 0; i < 2; i += 1)
          expect(await s.port.end(s.a, vmId, notAborted())).toEqual({ kind: 'ok' });
        expect(await s.world.runsOn(vmId)).toEqual([]);
      }
    },
  },
  {
    name: 'never says that a guest of a host without power was asked',
    needs: 'asked-shutdown',
    async run(s) {
      const { vmId } = await s.startedVm(s.a, 'persistent');
      await s.world.powerOff(s.a);
      const call = s.port.shutDown(s.a, vmId, notAborted());
      await within(s.patienceMs, call);
      expect(['unreachable', 'unknown']).toContain((await call).kind);
    },
  },
];

export const pausedAndStopping: readonly Case[] = [...paused, ...shuttingDown];
