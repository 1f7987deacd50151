/** What the suites need of real hosts. One lab serves a whole suite; it is made whole again before each case. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { createDirectoryStorage } from '../../drivers/directory';
import { createFenceAgents } from '../../drivers/fence-agents';
import { createSurvey } from '../../drivers/host-survey';
import { createLibvirtVolumeMoves, shapeOf } from '../../drivers/libvirt';
import { createMovedVolumes } from '../../drivers/lvm';
import { createStorageHeartbeats } from '../../drivers/storage-heartbeat';
import type { Pool } from '../../domain/fleet';
import { fenceDeviceId, hostId, type HostId, poolId, vmId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';
import type { LabVm } from '../../lab/lab-vm';
import { runOrThrow } from '../../lab/run';
import { definitionOf, type DriverLab, labPool, openDriverLab } from '../support/driver-lab';
import { eventually, notAborted, type Opened } from './contract';
import type { FencingSubject } from './fencing.contract';
import type { HeartbeatsSubject } from './heartbeats.contract';
import type { HintsSubject } from './hints.contract';
import type { HostCommandsSubject } from './host-commands.contract';
import type { ContractVm, HypervisorSubject } from './hypervisor.contract';
import type { StorageLocksSubject } from './storage-locks.contract';
import type { SurveySubject } from './survey.contract';
import type { MovableVm, VolumeMovesSubject } from './move-protocol';
import type { VolumesSubject } from './volumes.contract';

const a = hostId('hv-a');
const b = hostId('hv-b');
/** A hung host takes two deadlines (3 s and 2 s) to be known as such; the rest is for a loaded machine. */
const patienceMs = 20_000;

export async function openLibvirt(): Promise<Opened<HypervisorSubject & HintsSubject>> {
  const world = await openDriverLab();
  const port = world.hypervisor();
  const host = (id: HostId) => world.lab.host(id);
  const byId = (id: string): LabVm => world.lab.vms.find((v) => v.uuid === id)!;
  const asContract = (vm: LabVm): ContractVm => ({
    ...{ vmId: vmId(vm.uuid), name: vm.name, definition: definitionOf(vm) },
  });
  const subject: HypervisorSubject & HintsSubject = {
    ...{ port, hints: port, a, b, patienceMs },
    world: {
      powerOff: (id) => host(id).powerOff(),
      killDaemon: (id) => host(id).killLibvirtd(),
      startDaemon: (id) => host(id).startLibvirtd(),
      hangDaemon: (id) => world.hangDaemon(host(id)),
      resumeDaemon: (id) => world.resumeDaemon(host(id)),
      destroy: (id, vm) => byId(vm).destroy(host(id)),
      pause: async (id, vm) => {
        await host(id).virshOrThrow(['suspend', vm]);
      },
      setAutostart: async (id, vm) => {
        await host(id).virshOrThrow(['autostart', vm]);
      },
      runsOn: async (vm) => (await world.processesOf(vm)).map(hostId),
    },
    async startedVm(id, kind) {
      const vm = await world.newVm({ home: id, transient: kind === 'transient' });
      if (kind === 'persistent') await vm.define();
      await vm.start();
      await vm.beatsBeyond(0);
      return asContract(vm);
    },
    async definedVm(id) {
      const vm = await world.newVm({ home: id });
      await vm.define();
      return asContract(vm);
    },
  };
  const close = async (): Promise<void> => {
    await port.close();
    await world.close();
  };
  return { subject, reset: () => world.reset(), close };
}

/** The agents' own waits, short: a BMC on this machine answers in 0.3 s or never. */
const quick = { power_timeout: 4, power_wait: 0 };

export const openFenceAgents = (kind: 'ipmi' | 'redfish') => async (): Promise<Opened<FencingSubject>> => {
  const world = await openDriverLab(1);
  const bmc = world.lab.bmc(a)[kind];
  const device = {
    id: fenceDeviceId(`hv-a-${kind}`),
    agent: kind === 'ipmi' ? 'fence_ipmilan' : 'fence_redfish',
  };
  const login = { ip: bmc.address, ipport: bmc.port, username: bmc.username, ...quick };
  const options =
    kind === 'ipmi'
      ? { ...login, lanplus: true, cipher: '3' }
      : { ...login, ssl_insecure: true, systems_uri: world.lab.bmc(a).redfish.systemsUri };
  let password = 'right';
  const port = createFenceAgents({
    gateway: world.gateway,
    devices: [
      {
        ...device,
        options,
        password: () => (password === 'right' ? readFileSync(bmc.passwordFile, 'utf8').trim() : password),
      },
    ],
    deadlines: { statusMs: 8_000, offMs: 20_000 },
  });
  const subject: FencingSubject = {
    ...{ port, host: a, device, patienceMs: 45_000 },
    world: {
      powerOff: () => world.lab.host(a).powerOff(),
      powerOn: () => world.lab.host(a).powerOn(),
      isOn: async () => (await world.lab.host(a).state()) !== 'off',
      silenceDevice: () => world.lab.setBmcFaults(a, kind, [{ kind: 'silent' }]),
      breakPassword: async () => {
        password = 'changed-by-somebody';
      },
      ignoreOff: () => world.lab.setBmcFaults(a, kind, [{ kind: 'lying' }]),
    },
  };
  const reset = async (): Promise<void> => {
    password = 'right';
    await world.reset();
  };
  return { subject, reset, close: () => world.close() };
};

export async function openHostCommands(): Promise<Opened<HostCommandsSubject>> {
  const world = await openDriverLab(1);
  const port = world.hostCommands();
  const vm = await world.newVm({ home: a });
  const shape = shapeOf(definitionOf(vm).text, () => labPool);
  const host = world.lab.host(a);
  // The lab's hosts share the machine's network: whatever listens on it stands for a neighbour's ssh.
  const listener = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port: listensOn } = listener.address() as AddressInfo;
  const subject: HostCommandsSubject = {
    neighbour: { hostId: a, address: '127.0.0.1', port: listensOn },
    ...{ port, host: a, patienceMs },
    world: {
      powerOff: () => host.powerOff(),
      powerOn: () => host.powerOn(),
      freeze: () => host.freeze(),
    },
    usableDisk: shape.disks[0]!,
    missingDisk: { ...shape.disks[0]!, path: `${vm.entry.disk}.no-such` },
    guest: {
      vm: { vmId: vmId(vm.uuid), name: vm.name, shape },
      consoleCheck: { kind: 'console', pattern: 'VMEDIC-BEAT seq=', timeoutMs: 10_000 },
      start: () => vm.start(),
      stop: () => vm.destroy(),
    },
  };
  const reset = async (): Promise<void> => {
    await world.reset();
    await vm.define();
  };
  const close = async (): Promise<void> => {
    listener.close();
    await port.close();
    await world.close();
  };
  return { subject, reset, close };
}

interface OnDirectory {
  readonly world: DriverLab;
  readonly storage: ReturnType<typeof createDirectoryStorage>;
  diskOf(vm: LabVm): VmDisk;
}

async function openDirectory(): Promise<OnDirectory> {
  const world = await openDriverLab();
  const pool: Pool = { id: labPool, type: 'dir', path: `${world.lab.folder}/disks`, lockStrategy: 'none' };
  const commands = world.hostCommands();
  const storage = createDirectoryStorage({ pools: [pool], inspectDisks: commands.inspectDisks });
  const diskOf = (vm: LabVm): VmDisk => shapeOf(definitionOf(vm).text, () => labPool).disks[0]!;
  return { world, storage, diskOf };
}

export async function openStorageLocks(): Promise<Opened<StorageLocksSubject>> {
  const { world, storage } = await openDirectory();
  const subject: StorageLocksSubject = {
    ...{ port: storage.storageLocks, pool: labPool, strategy: 'none', a, b },
    imageOfA: (await world.newVm({ home: a })).entry.disk,
    imageOfB: (await world.newVm({ home: b })).entry.disk,
    world: {
      powerOff: (host) => world.lab.host(host).powerOff(),
      lockByStranger: () => Promise.reject(new Error('a directory pool keeps no locks')),
      freeImage: () => Promise.reject(new Error('a directory pool keeps no locks')),
    },
  };
  return { subject, reset: () => world.reset(), close: () => world.close() };
}

export async function openVolumes(): Promise<Opened<VolumesSubject>> {
  const { world, storage, diskOf } = await openDirectory();
  const vm = await world.newVm({ home: a });
  const disk = diskOf(vm);
  const subject: VolumesSubject = {
    ...{ port: storage.volumes, vmId: vmId(vm.uuid), target: b, disks: [disk] },
    missingDisk: { ...disk, device: 'vdb', path: `${disk.path}.no-such` },
    world: {
      powerOffTarget: () => world.lab.host(b).powerOff(),
      exists: async (path) => existsSync(path),
      isActive: async () => false,
      activateByHand: () => Promise.reject(new Error('files need no activation')),
      replaceVolume: () => Promise.reject(new Error('files need no activation')),
      elsewhere: a,
    },
  };
  return { subject, reset: () => world.reset(), close: () => world.close() };
}

export async function openSurvey(): Promise<Opened<SurveySubject>> {
  const world = await openDriverLab();
  const disks = join(world.lab.folder, 'disks');
  const port = createSurvey({
    runScript: world.hostCommands().runScript,
    volumeGroups: () => Promise.reject(new Error('no pool of LVM here')),
  });
  // Known by the name of its process alone, as a real one is.
  const rival = join(world.lab.folder, 'pacemakerd');
  const subject: SurveySubject = {
    ...{ port, a, b, pool: { id: labPool, type: 'dir', path: disks, lockStrategy: 'none' } },
    world: {
      powerOff: (host) => world.lab.host(host).powerOff(),
      async setRival(host, alive) {
        const start = `cp "$(command -v sleep)" "$1" && { setsid "$1" 600 </dev/null >/dev/null 2>&1 & }`;
        const stop = `for p in /proc/[0-9]*; do [ "$(readlink "$p/exe")" != "$1" ] || kill -9 "\${p#/proc/}"; done; rm -f "$1"`;
        await world.lab.host(host).run(['sh', '-c', alive ? start : stop, 'sh', rival]);
        const isSo = async () => (await port.survey(host, [], notAborted())).rivals.length > 0 === alive;
        await eventually(10_000, isSo);
      },
      setLockless: () => Promise.reject(new Error('one kernel sees every lock')),
      leftovers: () => Promise.resolve(readdirSync(disks).filter((f) => f.startsWith('.vmedic-lock-test'))),
    },
  };
  return { subject, reset: () => world.reset(), close: () => world.close() };
}

/** Hosts of the lab share a /tmp, so that an id found there may be another host's. */
const endWriter = `
for file in "/run/$1.pid" "/tmp/$1.pid"; do
  [ -e "$file" ] && read -r pid <"$file" && grep -aqF "$1" "/proc/$pid/cmdline" 2>/dev/null && kill "$pid"
  rm -f "$file"
done`;

export async function openHeartbeats(): Promise<Opened<HeartbeatsSubject>> {
  const { world } = await openDirectory();
  const pool: Pool = { id: labPool, type: 'dir', path: `${world.lab.folder}/disks`, lockStrategy: 'none' };
  const port = createStorageHeartbeats({ runScript: world.hostCommands().runScript });
  const host = (id: HostId) => world.lab.host(id);
  const subject: HeartbeatsSubject = {
    ...{ port, a, b, pool, patienceMs },
    world: { powerOff: (id) => host(id).powerOff(), powerOn: (id) => host(id).powerOn() },
  };
  const reset = async (): Promise<void> => {
    await world.reset();
    for (const id of [a, b]) {
      await host(id).run(['sh', '-c', endWriter, 'sh', `vmedic-heartbeat-${id}`]);
      rmSync(`${pool.path}/.vmedic-heartbeat-${id}`, { force: true });
    }
  };
  return { subject, reset, close: () => world.close() };
}

export async function openVolumeMoves(): Promise<Opened<VolumeMovesSubject>> {
  const world = await openDriverLab();
  const folders = { first: `${world.lab.folder}/disks`, second: `${world.lab.folder}/disks-2` };
  const second = poolId('lab-second');
  const pools: Pool[] = [
    { id: labPool, type: 'dir', path: folders.first, lockStrategy: 'none' },
    { id: second, type: 'dir', path: folders.second, lockStrategy: 'none' },
  ];
  const commands = world.hostCommands();
  const ids = world.lab.hosts.map((h) => hostId(h.id));
  const port = createLibvirtVolumeMoves({
    gateway: world.gateway,
    hosts: world.lab.hosts.map((h) => ({ id: hostId(h.id), uri: h.uri })),
    clusterOf: () => ids,
    hostsOf: () => ids,
    pools,
    poolOf: (path) => pools.find((p) => path.startsWith(`${p.path}/`))?.id,
    runScript: commands.runScript,
    volumes: createMovedVolumes(commands.runScript),
  });
  const labVm = (vm: MovableVm): LabVm => world.lab.vm(vm.name);
  const notHere = (): Promise<never> => Promise.reject(new Error('the lab cannot arrange this'));
  const subject: VolumeMovesSubject = {
    ...{ port, target: second },
    async newVm(state, disks = 1) {
      const vm = await world.newVm({ home: a });
      await vm.define();
      if (disks > 1) {
        const more = `${folders.first}/${vm.name}-b.raw`;
        await runOrThrow('qemu-img', ['create', '-q', '-f', 'raw', more, '4M'], { timeoutMs: 20_000 });
        const attach = [
          'attach-disk',
          vm.name,
          more,
          'vdb',
          '--config',
          '--driver',
          'qemu',
          '--subdriver',
          'raw',
        ];
        await world.lab.host(a).virshOrThrow(attach);
      }
      if (state === 'running') {
        await vm.start();
        await vm.beatsBeyond(0);
      }
      return { vmId: vmId(vm.uuid), hostId: a, name: vm.name, disks: ['vda', 'vdb'].slice(0, disks) };
    },
    world: {
      // As an operator would ask: what the next start opens.
      filesOf: async (vm) =>
        (await world.lab.host(vm.hostId).virshOrThrow(['domblklist', vm.name, '--inactive', '--details']))
          .split('\n')
          .flatMap((line) => /\sdisk\s+\S+\s+(\/.*\S)\s*$/.exec(line)?.[1] ?? []),
      isOn: async (path, pool) => path.startsWith(`${pool === second ? folders.second : folders.first}/`),
      exists: async (path) => existsSync(path),
      contentOf: async (path) => {
        const raw = `${path}.as-raw`;
        await runOrThrow('qemu-img', ['convert', '-U', '-O', 'raw', path, raw], { timeoutMs: 20_000 });
        const sum = createHash('sha256').update(readFileSync(raw)).digest('hex');
        rmSync(raw);
        return sum;
      },
      runs: async (vm) => (await labVm(vm).state()) === 'running',
      unregister: (vm) => labVm(vm).undefine(),
      unlink: async (path) => rmSync(path),
      fillTarget: notHere,
      setManner: notHere,
      endMoves: notHere,
      begun: async (vm) => readdirSync(folders.second).filter((f) => f.startsWith(`${vm.name}-`)).length,
      silenceHost: (host) => world.hangDaemon(world.lab.host(host)),
      powerOff: (host) => world.lab.host(host).powerOff(),
    },
  };
  const close = async (): Promise<void> => {
    await port.close();
    await commands.close();
    await world.close();
  };
  return { subject, reset: () => world.reset(), close };
}
