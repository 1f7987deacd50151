/** What the suites need of a simulated vCenter. */
import { createVsphere, type Vsphere } from '../../drivers/vsphere';
import type { HostId, VmId } from '../../domain/ids';
import type { RelocationPlan, SimState, SimVm, VsphereSim } from '../../lab/vsphere/simulator';
import { esx, pool, startVcenter, vsphereOptions } from '../support/vcenter';
import { contentOf, isThere, unlinkDisk } from '../support/vcenter-files';
import type { Opened } from './contract';
import type { ContractVm, HypervisorSubject } from './hypervisor.contract';
import type { Manner, MovableVm, VolumeMovesSubject } from './move-protocol';

/** Fast enough for a suite; what the two readings are for is tested by itself. */
const timing = { settleMs: 10 };

export interface VcenterWorld {
  readonly sim: VsphereSim;
  readonly vsphere: Vsphere;
  readonly state: SimState;
  vm(id: VmId): Promise<{ name: string } & SimVm>;
  hostName(id: HostId): string;
  /** A VM that no case has yet, on the host, with so many disks. */
  fresh(host: HostId, disks?: number): Promise<{ name: string; vmId: VmId }>;
  close(): Promise<void>;
}

export async function openVcenter(vms = 3): Promise<VcenterWorld> {
  const sim = await startVcenter({ vms, hosts: 2, disks: 1, diskBytes: 4_096 });
  const state = await sim.state();
  const vsphere = createVsphere(vsphereOptions(sim, state), timing);
  const unused = Object.keys(state.vms);
  const hostName = (id: HostId): string => Object.keys(state.hosts).find((name) => esx(name) === id) ?? '';
  return {
    ...{ sim, vsphere, state, hostName },
    async vm(id) {
      const found = Object.entries((await sim.state()).vms).find(([, v]) => v.instanceUuid === id);
      if (found === undefined) throw new Error(`${id} is not in the inventory`);
      return { name: found[0], ...found[1] };
    },
    async fresh(host, disks = 1) {
      const name = unused.shift();
      if (name === undefined) throw new Error('the case needs more VMs than were made');
      await sim.order('vm', { vm: name, name: hostName(host), disks });
      return { name, vmId: state.vms[name]?.instanceUuid as VmId };
    },
    async close() {
      await vsphere.close();
      await sim.stop();
    },
  };
}

/** Orders whose answer nobody needs. */
const ordering =
  (sim: VsphereSim) =>
  async (name: string, body: object): Promise<void> => {
    await sim.order(name, body);
  };

const pathOf = (file: string): string => file.replace(/^\[([^\]]*)\] /, '/vmfs/volumes/$1/');

const manners: Readonly<Record<Manner, RelocationPlan>> = {
  'says-done-does-nothing': { preset: 'lie' },
  'moves-part': { preset: 'partial' },
  'moves-part-says-failed': { preset: 'partial-error' },
  'fails-before': { preset: 'fail' },
  'fails-after-copy': { preset: 'fail-after-copy' },
  'moves-says-failed': { preset: 'moved-but-error' },
  'keeps-source': { preset: 'keep-source' },
  hangs: { preset: 'hang' },
  'ignores-cancel': { cancel: 'ignore', ms: 400 },
};

export async function openVolumeMoves(): Promise<Opened<VolumeMovesSubject>> {
  const world = await openVcenter();
  const { sim, vsphere, state } = world;
  const order = ordering(sim);
  const [a] = Object.keys(state.hosts).map(esx);
  if (a === undefined) throw new Error('the simulator has no host');
  const last = new Map<VmId, { ref: string; name: string }>();
  const nameOf = async (vm: MovableVm): Promise<string> => (await world.vm(vm.vmId)).name;
  const subject: VolumeMovesSubject = {
    ...{ port: vsphere.volumeMoves, target: pool('LocalDS_1') },
    async newVm(as, disks = 1) {
      const { name, vmId } = await world.fresh(a, disks);
      if (as === 'running') await sim.order('vm', { vm: name, power: 'on' });
      const made = await world.vm(vmId);
      last.set(vmId, made);
      return { vmId, hostId: a, name, disks: made.disks.map((d) => d.uuid) };
    },
    world: {
      filesOf: async (vm) => (await world.vm(vm.vmId)).disks.map((d) => pathOf(d.file)),
      isOn: async (path, to) => path.startsWith(`/vmfs/volumes/${to}/`) && isThere(state, path),
      exists: async (path) => isThere(state, path),
      contentOf: async (path) => contentOf(state, path),
      runs: async (vm) => (await world.vm(vm.vmId)).runsOn !== undefined,
      unregister: async (vm) => order('unregister', { vm: await nameOf(vm) }),
      unlink: async (path) => unlinkDisk(state, path),
      fillTarget: async () => order('datastore', { name: 'LocalDS_1', freeSpace: 1 }),
      setManner: async (vm, manner) => sim.plan({ vm: await nameOf(vm), ...manners[manner] }),
      async endMoves(vm) {
        const name = await nameOf(vm);
        await sim.order('go-on', { vm: name });
        await sim.order('settle', { vm: name });
      },
      begun: async (vm) =>
        (await sim.calls('RelocateVM_Task')).filter((c) => c.this === last.get(vm.vmId)?.ref).length,
      silenceHost: async (host) => order('host', { name: world.hostName(host), state: 'notResponding' }),
      powerOff: async (host) => order('host', { name: world.hostName(host), power: 'cut' }),
    },
  };
  return { subject, close: () => world.close() };
}

export async function openHypervisor(): Promise<Opened<HypervisorSubject>> {
  const world = await openVcenter();
  const { sim, vsphere, state } = world;
  const order = ordering(sim);
  const [a, b] = Object.keys(state.hosts).map(esx);
  if (a === undefined || b === undefined) throw new Error('the simulator has too few hosts');
  const host = async (id: HostId, change: object): Promise<void> =>
    order('host', { name: world.hostName(id), ...change });
  const contractVm = async (on: HostId, running: boolean): Promise<ContractVm> => {
    const { name, vmId } = await world.fresh(on);
    if (running) await sim.order('vm', { vm: name, power: 'on' });
    const [read] = await vsphere.hypervisor.definitions(on, [vmId], new AbortController().signal);
    const readAt = new Date().toISOString();
    return { vmId, name, definition: { vmId, version: 1, text: read?.text ?? '', readFrom: on, readAt } };
  };
  const subject: HypervisorSubject = {
    ...{ port: vsphere.hypervisor, a, b, patienceMs: 5_000 },
    world: {
      powerOff: (id) => host(id, { power: 'cut' }),
      killDaemon: (id) => host(id, { state: 'notResponding' }),
      startDaemon: (id) => host(id, { state: 'connected' }),
      hangDaemon: (id) => host(id, { state: 'notResponding' }),
      resumeDaemon: (id) => host(id, { state: 'connected' }),
      destroy: async (_, vm) => order('vm', { vm: (await world.vm(vm)).name, power: 'off' }),
      pause: () => Promise.reject(new Error('vSphere keeps no VM paused')),
      setAutostart: async (_, vm) => order('vm', { vm: (await world.vm(vm)).name, autostart: true }),
      async runsOn(vm) {
        const now = await sim.state();
        const vmx =
          state.vms[Object.keys(state.vms).find((n) => state.vms[n]?.instanceUuid === vm) ?? '']?.vmx;
        const on = vmx === undefined ? undefined : now.guests[vmx];
        return on === undefined ? [] : [esx(on)];
      },
    },
    startedVm: (on) => contractVm(on, true),
    definedVm: (on) => contractVm(on, false),
  };
  return { subject, close: () => world.close() };
}
