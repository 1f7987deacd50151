/** The demo on real hosts: libvirt and QEMU in namespaces, IPMI and Redfish BMCs, guests that write a diary on their disks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLab, type Lab, type LabProgress } from '../lab';
import { runOrThrow } from '../run';
import type { DemoDatacenter, SeenVm } from './datacenter';

export interface RealDatacenterOptions {
  readonly hosts: number;
  readonly vms: number;
  readonly progress: LabProgress;
  /** Writes the config of this lab beside it. */
  readonly writeConfig: (lab: Lab) => Promise<void>;
  readonly remove: (folder: string) => Promise<unknown>;
}

/** A look at guests' serial files; they beat about once a second. */
const signOfLifeEveryMs = 50;
const virshMs = 10_000;

/** A lab of its own, whatever other lab this machine has. @throws after taking down what it made. */
export async function realDatacenter(options: RealDatacenterOptions): Promise<DemoDatacenter> {
  // Short, because sockets lie deep below it.
  const folder = mkdtempSync(join(tmpdir(), 'vmd-'));
  const close = async (): Promise<void> => {
    await options.remove(folder);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const lab = await createLab({ ...options, folder });
    await lab.up();
    await options.writeConfig(lab);
    return opened(lab, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function opened(lab: Lab, close: () => Promise<void>): DemoDatacenter {
  return {
    configPath: lab.configFile,
    stateDir: join(lab.folder, 'system'),
    hosts: lab.hosts.map(({ id }) => id),
    vms: lab.vms.map(({ name, home }) => ({ name, host: home.id })),
    judge: 'by virsh on every host that has power, and by the oracle on every disk; not from its own record',
    cutPower: (host) => cutPower(lab, host),
    onSignOfLife: (vms, signal, back) => watchSerials(lab, vms, signal, back),
    look: () => look(lab),
    close,
  };
}

/** With ipmitool, as an operator would; VMedic has no part in it. */
async function cutPower(lab: Lab, host: string): Promise<string> {
  const { address, port, username, passwordFile } = lab.bmc(host).ipmi;
  const login = ['-H', address, '-p', String(port), '-U', username, '-f', passwordFile];
  const said = await runOrThrow(
    'ipmitool',
    ['-I', 'lanplus', '-C', '3', ...login, 'chassis', 'power', 'off'],
    {
      timeoutMs: 30_000,
    },
  );
  return `ipmitool -I lanplus -C 3 ${login.join(' ')} chassis power off: ${said.trim()}`;
}

function watchSerials(
  lab: Lab,
  vms: readonly string[],
  signal: AbortSignal,
  back: (vm: string) => void,
): void {
  const bootBefore = new Map(vms.map((name) => [name, lab.vm(name).printed().at(-1)?.boot]));
  const timer = setInterval(() => {
    for (const [name, boot] of bootBefore) {
      const last = lab.vm(name).printed().at(-1);
      if (last === undefined || last.boot === boot) continue;
      bootBefore.delete(name);
      back(name);
    }
    if (bootBefore.size === 0) clearInterval(timer);
  }, signOfLifeEveryMs);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

async function look(lab: Lab): Promise<SeenVm[]> {
  const runsOn = new Map<string, string[]>();
  for (const host of lab.hosts) {
    // A host without power runs nothing; one with power must answer, or nothing could be said of its VMs.
    if ((await host.state()) === 'off') continue;
    const names = await runOrThrow('virsh', ['-q', '-c', host.uri, 'list', '--name'], { timeoutMs: virshMs });
    for (const name of names.split('\n').filter((line) => line !== ''))
      runsOn.set(name, [...(runsOn.get(name) ?? []), host.id]);
  }
  const verdicts = await lab.judgeDisks();
  return verdicts.map(({ name, verdict }) => ({
    name,
    runsOn: runsOn.get(name) ?? [],
    boots: 'runs' in verdict ? verdict.runs.length : 0,
    oracle: verdict.verdict,
    why:
      'violations' in verdict
        ? JSON.stringify(verdict.violations)
        : 'why' in verdict
          ? verdict.why
          : undefined,
  }));
}
