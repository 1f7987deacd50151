import type { VolumesPort } from '../../activities/ports';
import type { HostId, VmId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';
import { type ContractCase, faultCode, notAborted } from './contract';
import { permitFor } from './permits';

export interface VolumesSubject {
  readonly port: VolumesPort;
  readonly vmId: VmId;
  /** Where the VM is to start. */
  readonly target: HostId;
  /** The VM's disks: good, and in use nowhere. */
  readonly disks: readonly VmDisk[];
  readonly missingDisk: VmDisk;
  readonly world: {
    powerOffTarget(): Promise<void>;
    exists(path: string): Promise<boolean>;
    isActive(path: string, host: HostId): Promise<boolean>;
    activateByHand(path: string, host: HostId): Promise<void>;
    /** Another volume takes its name. */
    replaceVolume(path: string): Promise<void>;
    readonly elsewhere: HostId;
  };
}

export const volumesContract: readonly ContractCase<VolumesSubject>[] = [
  {
    name: 'finds good disks ready, and the same again when asked again',
    async run({ port, vmId, target, disks }) {
      const permit = permitFor(vmId, target);
      const first = await port.makeReady(permit, disks, notAborted());
      expect(first.ready).toBe(true);
      expect(await port.makeReady(permit, disks, notAborted())).toEqual(first);
    },
  },
  {
    name: 'answers "not ready" for a missing disk, naming it, and never makes one',
    async run({ port, vmId, target, disks, missingDisk, world }) {
      const said = await port.makeReady(permitFor(vmId, target), [...disks, missingDisk], notAborted());
      expect(said).toMatchObject({ ready: false, fault: { code: 'STORAGE_NOT_READY' } });
      expect(said.ready ? '' : said.fault.sentence).toContain(missingDisk.path);
      expect(await world.exists(missingDisk.path)).toBe(false);
    },
  },
  {
    name: 'never finds disks ready, or not, on a host without power',
    async run({ port, vmId, target, disks, world }) {
      await world.powerOffTarget();
      const call = port.makeReady(permitFor(vmId, target), disks, notAborted());
      expect(await faultCode(call)).toBe('HOST_COMMAND_FAILED');
    },
  },
  {
    name: 'has nothing to take back when nothing was activated',
    async run({ port, target }) {
      expect(await port.standDown(target, [], notAborted())).toBeUndefined();
    },
  },
  {
    name: 'activates what must be, says so, and takes exactly that back, any number of times',
    needs: 'activation',
    async run({ port, vmId, target, disks, world }) {
      const said = await port.makeReady(permitFor(vmId, target), disks, notAborted());
      const paths = disks.map((d) => d.path);
      expect(said).toEqual({ ready: true, activated: paths });
      for (const path of paths) expect(await world.isActive(path, target)).toBe(true);
      for (let i = 0; i < 2; i += 1) await port.standDown(target, paths, notAborted());
      for (const path of paths) expect(await world.isActive(path, target)).toBe(false);
    },
  },
  {
    name: 'never deactivates what others activated',
    needs: 'activation',
    async run({ port, vmId, target, disks, world }) {
      const path = disks[0]?.path ?? '';
      await world.activateByHand(path, target);
      const said = await port.makeReady(permitFor(vmId, target), disks.slice(0, 1), notAborted());
      expect(said).toEqual({ ready: true, activated: [] });
      await port.standDown(target, [path], notAborted());
      expect(await world.isActive(path, target)).toBe(true);
    },
  },
  {
    name: 'knows a volume by what it is, and refuses another one of the same name',
    needs: 'activation',
    async run({ port, vmId, target, disks, world }) {
      const known = await port.identify(target, disks.slice(0, 1), notAborted());
      expect(known[0]?.volume?.volume).toMatch(/\S/);
      expect(await port.identify(target, known, notAborted())).toEqual(known);
      await world.replaceVolume(known[0]?.path ?? '');
      const said = await port.makeReady(permitFor(vmId, target), known, notAborted());
      expect(said).toMatchObject({ ready: false, fault: { code: 'STORAGE_NOT_READY' } });
      expect(await world.isActive(known[0]?.path ?? '', target)).toBe(false);
    },
  },
  {
    name: 'refuses a disk that is active on another host',
    needs: 'activation',
    async run({ port, vmId, target, disks, world }) {
      const path = disks[0]?.path ?? '';
      await world.activateByHand(path, world.elsewhere);
      const said = await port.makeReady(permitFor(vmId, target), disks, notAborted());
      expect(said).toMatchObject({ ready: false, fault: { code: 'STORAGE_NOT_READY' } });
      expect(await world.isActive(path, target)).toBe(false);
    },
  },
];
