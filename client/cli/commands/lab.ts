import { InvalidArgumentError, Option, type Command } from 'commander';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab, LabStatus } from '../../../lab/lab';
import type { LabVcenterFacts } from '../../../lab/vsphere/lab-vcenter';
import { Refusal } from '../../errors';
import { startInBackground } from '../background';
import { addCommand, addGroup, type Context, type Program, text } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { openSession } from '../session';
import { table } from '../show';
import { untilDiscovered } from '../watched';
import { runsText } from './up';

/** They are named by a letter each. */
function hostCount(value: string): number {
  const hosts = Number(value);
  if (!/^\d+$/.test(value) || hosts < 1 || hosts > 26)
    throw new InvalidArgumentError('a lab has 1 to 26 hosts.');
  return hosts;
}

export function addLabCommands(program: Command, state: Program): void {
  const lab = addGroup(
    program,
    'lab',
    'real hosts on this machine: libvirt, QEMU, BMCs and guests whose disks tell the truth',
    ['vmedic lab up', 'vmedic lab status --json', 'vmedic lab down'],
  );
  const folder = (): Option =>
    new Option('--folder <dir>', "the lab's folder, shorter than 50 characters (default: below VMEDIC_HOME)");
  addCommand(lab, state, {
    usage: 'up',
    summary: 'make the lab, or bring it up again, and start VMedic on it',
    examples: [
      'vmedic lab up',
      'vmedic lab up --hosts 4 --vms 20 --transient 5',
      'vmedic lab up --vsphere',
      'vmedic lab up --bare',
      'vmedic lab up --storage 4.2 --hosts 2',
    ],
    options: [
      new Option('--hosts <n>', 'hosts, 1 to 26').default(3).argParser(hostCount),
      new Option('--vms <n>', 'VMs, spread over them').default(10).argParser(wholeNumber),
      new Option(
        '--transient <n>',
        'so many of the VMs vanish from libvirt when they stop, as CloudStack makes them',
      )
        .default(0)
        .argParser(wholeNumber),
      new Option('--vsphere', 'also a simulated vCenter with ESXi hosts, and VMs of its own'),
      new Option(
        '--storage [version]',
        'an NFS server (version 3 or 4.2) and hosts that are machines with kernels of their own, one VM on each',
      )
        .choices(['3', '4.2'])
        .preset('3'),
      new Option('--bare', 'do not start VMedic on it'),
      folder(),
    ],
    run: up,
  });
  addCommand(lab, state, {
    usage: 'down',
    summary: 'end VMedic on the lab and remove everything the lab consists of',
    examples: ['vmedic lab down'],
    options: [folder()],
    run: down,
  });
  addCommand(lab, state, {
    usage: 'status',
    summary: 'hosts, their power, BMCs and the VMs that run there, as the hosts themselves say',
    examples: ['vmedic lab status', 'vmedic lab status --json'],
    options: [folder()],
    run: status,
  });
}

function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError('a whole number');
  return Number(value);
}

/** Refuses with what is missing and the cure where real hosts cannot be had. */
async function needLab(): Promise<void> {
  const { labAvailability } = await import('../../../lab/availability');
  const answer = await labAvailability();
  if (!answer.available)
    throw new Refusal('usage', 'NO_REAL_HOSTS', `Real hosts cannot be had here: ${answer.why}`, answer.cure);
}

async function folderOf(context: Context): Promise<string> {
  if (context.flags['folder'] !== undefined) return text(context, 'folder');
  const { defaultLabFolder } = await import('../../../lab/folder');
  return defaultLabFolder(context.io.env);
}

export const systemDirOf = (labFolder: string): string => join(labFolder, 'system');

async function up(context: Context): Promise<ExitCode> {
  await needLab();
  const folder = await folderOf(context);
  const lab = await anyLabIn(folder, context);
  await lab.up();
  const vcenter = await vcenterOf(context, folder);
  await writeConfigOf(lab, await lab.config(), vcenter);
  const status = await lab.status();
  if (context.flags['bare'] === true) {
    context.out.result(
      { ...status, ...(vcenter !== undefined && { vcenter }) },
      `${await statusText(context, lab)}\n${vcenter === undefined ? '' : `\n${vcenterText(vcenter)}`}\nVMedic is not started on it: vmedic up --config ${lab.configFile}`,
    );
    return exitCodes.done;
  }
  const system = await runningOn(context, lab);
  context.out.note('waiting until VMedic knows every VM');
  const session = await openSession(lab.configFile, context.io);
  try {
    const running = status.hosts.reduce((sum, host) => sum + (host.vms?.length ?? 0), 0);
    await untilDiscovered(session.inventory, session.fleet, running + (vcenter?.vms.length ?? 0));
  } finally {
    await session.close();
  }
  context.out.result(
    { ...status, ...(vcenter !== undefined && { vcenter }), system },
    [
      `${await statusText(context, lab)}\n`,
      ...(vcenter === undefined ? [] : [vcenterText(vcenter)]),
      runsText(context, system, systemDirOf(folder)),
      `\nCut a host's power and have its VMs brought back:\n${tryText(status)}`,
    ].join('\n'),
  );
  return exitCodes.done;
}

/** As an operator would: VMedic has no part in the first line. */
function tryText({ hosts }: LabStatus): string {
  const host = hosts.find((h) => h.power === 'on' && h.vms !== null && h.vms.length > 0) ?? hosts[0];
  if (host === undefined) return '';
  const { address, port, username, passwordFile } = host.bmc;
  return [
    `  ipmitool -I lanplus -C 3 -H ${address} -p ${port} -U ${username} -f ${passwordFile} chassis power off`,
    `  vmedic host recover ${host.id} --reason "it lost its power" --wait`,
    '  vmedic lab status',
  ].join('\n');
}

/** What the commands need of a lab, of either kind. */
interface AnyLab extends Pick<Lab, 'folder' | 'configFile' | 'status'> {
  up(): Promise<void>;
  config(): Promise<LabConfig>;
}

interface LabConfig {
  readonly clusters: readonly object[];
  readonly pools: readonly object[];
}

async function storageLabIn(folder: string, context: Context): Promise<AnyLab | undefined> {
  const { createNfsLab, openNfsLab } = await import('../../../lab/storage/nfs-lab');
  const progress = (line: string): void => context.out.note(line);
  const wanted = context.flags['storage'] as '3' | '4.2' | undefined;
  const there = openNfsLab(folder, progress);
  if (there === undefined && wanted === undefined) return undefined;
  const hosts = Array.from(
    { length: Number(context.flags['hosts'] ?? 2) },
    (_, i) => `hv-${String.fromCharCode(97 + i)}`,
  );
  const lab = there ?? (await createNfsLab({ folder, version: wanted ?? '3', hosts, progress }));
  return {
    folder,
    configFile: lab.configFile,
    status: () => lab.status(),
    up: () => (there === undefined ? lab.up() : lab.upAgain()),
    config: async () => (await import('../../../lab/storage/config')).nfsLabConfig(lab),
  };
}

async function anyLabIn(folder: string, context: Context): Promise<AnyLab> {
  const storage = await storageLabIn(folder, context);
  if (storage !== undefined) return storage;
  const lab = await labIn(folder, context);
  return {
    folder,
    configFile: lab.configFile,
    status: () => lab.status(),
    up: () => lab.up(),
    config: async () => (await import('../../../lab/config')).labConfig(lab),
  };
}

async function labIn(folder: string, context: Context): Promise<Lab> {
  const { createLab, openLab } = await import('../../../lab/lab');
  const { readManifest } = await import('../../../lab/manifest');
  const progress = (line: string): void => context.out.note(line);
  if (readManifest(folder) !== undefined) {
    context.out.note(`there is a lab in ${folder} already: bringing it up as it was made`);
    return openLab(folder, progress);
  }
  const { hosts, vms, transient } = context.flags;
  return createLab({
    folder,
    hosts: Number(hosts),
    vms: Number(vms),
    transient: Number(transient),
    progress,
  });
}

/** The lab's own config, and where its embedded system keeps its state: in the lab's folder, so that it goes with it. */
export async function writeConfig(lab: Lab, vcenter?: LabVcenterFacts): Promise<void> {
  const { labConfig } = await import('../../../lab/config');
  await writeConfigOf(lab, labConfig(lab), vcenter);
}

async function writeConfigOf(
  lab: Pick<Lab, 'folder' | 'configFile'>,
  made: LabConfig,
  vcenter: LabVcenterFacts | undefined,
): Promise<void> {
  const { stringify } = await import('yaml');
  const config = { ...(await withVcenter(made, vcenter)), stateDir: systemDirOf(lab.folder) };
  writeFileSync(lab.configFile, `# Made by vmedic for this lab; it goes with it.\n${stringify(config)}`, {
    mode: 0o600,
  });
}

async function withVcenter(config: LabConfig, facts: LabVcenterFacts | undefined): Promise<object> {
  if (facts === undefined) return config;
  const { vcenterConfig } = await import('../../../lab/vsphere/lab-vcenter');
  const { vcenters, cluster, pools } = vcenterConfig(facts);
  return { ...config, vcenters, clusters: [...config.clusters, cluster], pools: [...config.pools, ...pools] };
}

/** The lab's vCenter, where one is asked for now or was before. */
async function vcenterOf(context: Context, folder: string): Promise<LabVcenterFacts | undefined> {
  const { LabVcenter } = await import('../../../lab/vsphere/lab-vcenter');
  const vcenter = new LabVcenter(folder);
  if (context.flags['vsphere'] !== true && !vcenter.exists) return undefined;
  const vms = Math.min(4, Number(context.flags['vms']));
  return vcenter.start({ hosts: 3, vms, progress: (line) => context.out.note(line) });
}

const vcenterText = ({ url, username, passwordFile, controlUrl, hosts, vms }: LabVcenterFacts): string =>
  [
    `vCenter (simulated): ${url}, user ${username}, password in ${passwordFile}`,
    `  ${hosts.length} ESXi hosts, ${vms.length} VMs; it is told to fail at ${controlUrl} (lab/vsphere-sim)\n`,
  ].join('\n');

async function runningOn(context: Context, lab: Pick<Lab, 'folder' | 'configFile'>) {
  const { isSupervised, readRuntime } = await import('../../../workers/embedded/runtime-file');
  const stateDir = systemDirOf(lab.folder);
  const before = readRuntime(stateDir);
  if (before?.stage === 'running' && isSupervised(before)) return before;
  context.out.note('starting VMedic on it');
  return startInBackground(context, lab.configFile, stateDir);
}

async function down(context: Context): Promise<ExitCode> {
  const folder = await folderOf(context);
  const removed = await removeEverything(folder, (line) => context.out.note(line));
  context.out.result(
    { removed, folder },
    removed ? `The lab in ${folder} is gone.` : `There is no lab in ${folder}.`,
  );
  return exitCodes.done;
}

/** Ends VMedic first, so that nothing recovers what is being taken down. */
export async function removeEverything(folder: string, progress: (line: string) => void): Promise<boolean> {
  const { stopEmbeddedSystem } = await import('../../../workers/embedded/system');
  const { removeLab } = await import('../../../lab/remove');
  const stopped = await stopEmbeddedSystem(systemDirOf(folder));
  rmSync(systemDirOf(folder), { recursive: true, force: true });
  const { removeStorageLab } = await import('../../../lab/storage/storage-lab');
  const removed = (await removeStorageLab(folder)) || (await removeLab(folder, progress));
  return stopped || removed;
}

async function status(context: Context): Promise<ExitCode> {
  const { openLab } = await import('../../../lab/lab');
  const { readManifest } = await import('../../../lab/manifest');
  const { openNfsLab } = await import('../../../lab/storage/nfs-lab');
  const folder = await folderOf(context);
  const storage = openNfsLab(folder);
  if (storage !== undefined) {
    context.out.result(await storage.status(), await statusText(context, storage));
    return exitCodes.done;
  }
  if (readManifest(folder) === undefined)
    throw new Refusal('usage', 'NO_LAB', `There is no lab in ${folder}`, 'vmedic lab up');
  const lab = openLab(folder);
  context.out.result(await lab.status(), await statusText(context, lab));
  return exitCodes.done;
}

async function statusText({ out }: Context, lab: Pick<Lab, 'status'>): Promise<string> {
  const { hosts } = await lab.status();
  const rows = hosts.map((host) => [
    host.id,
    host.power,
    `${host.bmc.address}:${host.bmc.port}`,
    host.vms === null ? 'does not say' : [...host.vms].sort().join(' '),
    host.uri,
  ]);
  return table(out, ['HOST', 'POWER', 'BMC (IPMI)', 'VMS THAT RUN', 'URI (virsh -c)'], rows);
}
