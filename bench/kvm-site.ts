/** Real hosts: libvirtd and QEMU in namespaces of this machine. A VM is up when its guest writes its first record. */
import { mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hostId, vmId } from '../domain/ids';
import { labConfig } from '../lab/config';
import { inParallel } from '../lab/in-parallel';
import { createLab, type Lab } from '../lab/lab';
import type { LabVm } from '../lab/lab-vm';
import type { BenchSite, Ups } from './site';
import { type SiteConfigOptions, writeSiteConfig } from './site-config';

export interface KvmSiteOptions {
  readonly vms: number;
  readonly concurrency: SiteConfigOptions['concurrency'];
  readonly mode?: SiteConfigOptions['mode'];
  readonly progress: (line: string) => void;
}

const failing = 'hv-a';
const survivors = ['hv-b', 'hv-c'];
/** A beat in 5 s: a hundred guests that beat every second would hold a core. */
const ticksPerBeat = 91;
const actsAtOnce = 3;
/** A beat guest takes 4 MiB and one vCPU. */
const guestMiB = 4;

export async function kvmSite(options: KvmSiteOptions): Promise<BenchSite> {
  // Short, because sockets lie deep below it.
  const folder = mkdtempSync(join(tmpdir(), 'vmb-'));
  const lab = await createLab({ folder, hosts: 1 + survivors.length, vms: 0, progress: options.progress });
  const close = async (): Promise<void> => {
    await lab.down();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (let n = 1; n <= options.vms; n++)
      await lab.addVm({ name: `vm-${String(n).padStart(3, '0')}`, home: failing, ticks: ticksPerBeat });
    await lab.up();
    return await opened(lab, options, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function opened(
  lab: Lab,
  { vms, concurrency, mode }: KvmSiteOptions,
  close: () => Promise<void>,
): Promise<BenchSite> {
  const stateDir = join(lab.folder, 'system');
  const capacity = { memoryMiB: guestMiB * (vms + 1), vcpus: vms + 1 };
  const made = labConfig(lab, capacity);
  const config = await writeSiteConfig(made, {
    ...{ path: lab.configFile, stateDir, concurrency },
    ...(mode !== undefined && { mode }),
  });
  return {
    ...{ config, configPath: lab.configFile, stateDir, close },
    failing: hostId(failing),
    survivors: survivors.map(hostId),
    vms: lab.vms.map(({ name, uuid }) => ({ name, vmId: vmId(uuid) })),
    // libvirtd and QEMU belong to the work itself: both ways pay for them.
    pids: () => [],
    watch: () => Promise.resolve(watchGuests(lab)),
    async destroyVm({ name }) {
      await lab.vm(name).destroy();
      return Date.now();
    },
    async cutPower() {
      await lab.host(failing).powerOff();
      return Date.now();
    },
    reset: () => reset(lab),
    complaints: () => complaintsOf(lab),
  };
}

/** The kernel says when a serial file grew; which boot wrote there tells a new life from the old one's last words. */
function watchGuests(lab: Lab): Ups {
  const bootBefore = new Map(lab.vms.map((vm) => [vm.name, vm.printed().at(-1)?.boot]));
  const byName = new Map(lab.vms.map((vm) => [vm.name, vm]));
  const upMs = new Map<string, number>();
  const look = (vm: LabVm | undefined): void => {
    if (vm === undefined || upMs.has(vm.name)) return;
    const last = vm.printed().at(-1);
    if (last !== undefined && last.boot !== bootBefore.get(vm.name)) upMs.set(vm.name, Date.now());
  };
  const watcher = watch(join(lab.folder, 'serial'), (_, file) =>
    look(byName.get(basename(String(file), '.log'))),
  );
  return {
    async all(timeoutMs) {
      for (const deadline = Date.now() + timeoutMs; upMs.size < byName.size; await delay(20))
        if (Date.now() > deadline)
          throw new Error(`${upMs.size} of ${byName.size} guests live again after ${timeoutMs / 1000} s`);
      return [...upMs.values()];
    },
    count: () => Promise.resolve(upMs.size),
    stop: () => watcher.close(),
  };
}

async function reset(lab: Lab): Promise<void> {
  for (const host of survivors.map((id) => lab.host(id))) {
    const running = new Set(await host.runningVms());
    const defined = (await host.virshOrThrow(['list', '--all', '--name'])).split('\n');
    await inParallel(lab.vms, actsAtOnce, async (vm) => {
      if (running.has(vm.name)) await vm.destroy(host);
      if (defined.includes(vm.name)) await vm.undefine(host);
    });
  }
  await lab.up();
}

/** By virsh on every host with power, and by the oracle on every disk. */
async function complaintsOf(lab: Lab): Promise<string[]> {
  const places = (await Promise.all(survivors.map((id) => lab.host(id).runningVms()))).flat();
  const found = lab.vms.flatMap(({ name }) => {
    const count = places.filter((place) => place === name).length;
    return count === 1 ? [] : [`${name} runs ${count} times`];
  });
  if ((await lab.host(failing).state()) !== 'off') found.push(`${failing} has power`);
  for (const { name, verdict } of await lab.judgeDisks())
    if (verdict.verdict !== 'CLEAN') found.push(`${name}: its disk is ${verdict.verdict}`);
  return found;
}
