/** The guest-repair port, by commands on the host that the VM ran on. */
import type { GuestRepairPort, RepairPreflight } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import {
  type KeptDisk,
  keptDisk,
  type MendedFileSystem,
  type RepairOrder,
  stateOf,
  volumeIn,
} from '../../domain/guest-repair';
import type { HostId, PoolId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';
import type { RunOnHost } from '../child-processes/on-host';
import * as scripts from './guest-repair-scripts';

export interface GuestRepairOptions {
  /** What is done to disks: as root, where volumes and the images of others are opened. */
  readonly asRoot: RunOnHost;
  readonly pools: readonly Pool[];
  /** Every host that has the pool. */
  readonly hostsOf: (pool: PoolId) => readonly HostId[];
  /** On the hosts, writable by root alone; `/run` when left out. */
  readonly lockFolder?: string;
}

/** Copies and checks take as long as a disk is large; a lost connection ends the wait sooner. */
const deadlines = {
  readMs: 15_000,
  bootMs: 5 * 60_000,
  actMs: 60_000,
  keepMs: 4 * 3_600_000,
  mendMs: 2 * 3_600_000,
} as const;

const tools = {
  always: ['guestfish', 'flock'],
  files: ['qemu-img', 'qemu-io', 'cmp'],
  volumes: ['lvs', 'lvcreate', 'lvconvert'],
};

export function createGuestRepair(options: GuestRepairOptions): GuestRepairPort {
  return new Repair(options);
}

type Step = 'keep' | 'open' | 'goBack' | 'drop';

const fileScripts: Readonly<Record<Step, string>> = {
  keep: scripts.keepFile,
  open: scripts.openFile,
  goBack: scripts.goBackFile,
  drop: scripts.dropFile,
};
const volumeScripts: Readonly<Record<Step, string>> = {
  keep: scripts.keepVolume,
  open: scripts.openVolume,
  goBack: scripts.goBackVolume,
  drop: scripts.dropVolume,
};
const words: Readonly<Record<Step, string>> = {
  keep: 'keeping a disk',
  open: 'opening a disk for the repair',
  goBack: 'going back to what was kept of a disk',
  drop: 'removing what was kept of a disk',
};

class Repair implements GuestRepairPort {
  constructor(private readonly options: GuestRepairOptions) {}

  async preflight(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<RepairPreflight> {
    const why: string[] = [];
    const kept: KeptDisk[] = [];
    const wanted = new Map<string, { needed: number; free: number }>();
    for (const disk of order.disks) {
      const pool = this.poolOf(disk);
      const keeps = keptDisk(disk, order.attempt, pool);
      if (keeps === undefined || pool === undefined) {
        why.push(
          `${disk.path} is in no declared pool of type dir, nfs or lvm, so no command on ${host} can keep it`,
        );
        continue;
      }
      if (disk.shareable) why.push(`${disk.path} is shared with other VMs`);
      kept.push(keeps);
      why.push(...(await this.factsOf(host, disk, pool, wanted, signal)));
    }
    for (const [where, { needed, free }] of wanted)
      if (free < needed)
        why.push(`${where} has ${free} bytes free, and ${needed} are needed to keep its disks`);
    const isVolume = (disk: VmDisk): boolean => this.poolOf(disk)?.type === 'lvm';
    const asked = [
      ...tools.always,
      ...(order.disks.every(isVolume) ? [] : tools.files),
      ...(order.disks.some(isVolume) ? tools.volumes : []),
    ];
    const lacking = await this.read(host, scripts.missingTools, asked, signal);
    if (lacking !== '') why.push(`${host} lacks ${lacking.split('\n').join(', ')}`);
    else why.push(...(await this.whyNoAppliance(host, signal)));
    return why.length === 0 ? { kind: 'ready', kept } : { kind: 'refused', why };
  }

  /** Booted once for nothing: a guest is not stopped for a repair that its host cannot do. */
  private async whyNoAppliance(host: HostId, signal: AbortSignal): Promise<string[]> {
    const answer = await this.options.asRoot(host, scripts.applianceFacts, [], deadlines.bootMs, signal);
    return answer.code === 0
      ? []
      : [`the appliance of guestfish is of no use on ${host}: ${lastLine(answer)}`];
  }

  async keep(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<void> {
    await this.each(host, order, 'keep', signal);
  }

  async mend(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<MendedFileSystem[]> {
    await this.each(host, order, 'open', signal);
    const drives = order.disks.flatMap((d) => [`--format=${d.format}`, '-a', d.path]);
    // One lock for all of them: that of the first disk, which every later step takes first.
    const [lock = ''] = order.disks.map((d) => this.lockOf(d, order.attempt));
    const args = [lock, ...drives];
    const answer = await this.options.asRoot(host, scripts.mendScript, args, deadlines.mendMs, signal);
    const found = answer.code === 0 ? mendedFrom(answer.stdout) : undefined;
    if (found !== undefined) return found;
    throw refusal(host, order, 'looking into the disks', answer);
  }

  async goBack(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<void> {
    await this.each(host, order, 'goBack', signal);
  }

  async drop(host: HostId, order: RepairOrder, signal: AbortSignal): Promise<void> {
    await this.each(host, order, 'drop', signal);
  }

  private async each(host: HostId, order: RepairOrder, step: Step, signal: AbortSignal): Promise<void> {
    const ms = step === 'keep' || step === 'goBack' ? deadlines.keepMs : deadlines.actMs;
    const what = words[step];
    for (const disk of order.disks) {
      const pool = this.poolOf(disk);
      const kept = keptDisk(disk, order.attempt, pool);
      if (kept === undefined)
        throw refusal(host, order, what, { stderr: `${disk.path} is in no pool for it` });
      const [script, args] = await this.argumentsFor(host, order, disk, kept, step, signal);
      const answer = await this.options.asRoot(host, script, args, ms, signal);
      if (answer.code !== 0) throw refusal(host, order, what, answer);
    }
  }

  private async argumentsFor(
    host: HostId,
    order: RepairOrder,
    disk: VmDisk,
    { kept }: KeptDisk,
    step: Step,
    signal: AbortSignal,
  ): Promise<[string, string[]]> {
    const lock = this.lockOf(disk, order.attempt);
    const volume = this.poolOf(disk)?.type === 'lvm' ? volumeIn(disk.path) : undefined;
    if (volume === undefined) return [fileScripts[step], [lock, disk.path, disk.format, kept]];
    const name = `${volume.group}/${volume.name}`;
    const uuid = disk.volume?.volume ?? (await this.volume(host, name, signal))?.uuid ?? '';
    return [volumeScripts[step], [lock, name, uuid, kept, tagOf(order.attempt)]];
  }

  private async factsOf(
    host: HostId,
    disk: VmDisk,
    pool: Pool,
    wanted: Map<string, { needed: number; free: number }>,
    signal: AbortSignal,
  ): Promise<string[]> {
    const add = (where: string, needed: number, free: number): void =>
      void wanted.set(where, { needed: (wanted.get(where)?.needed ?? 0) + needed, free });
    if (pool.type !== 'lvm') {
      const [facts = '', free = ''] = (await this.read(host, scripts.fileFacts, [disk.path], signal)).split(
        '\n',
      );
      const [, blocks, size, names] = /^file (\d+) (\d+) (\d+)$/.exec(facts) ?? [];
      if (blocks === undefined) return [`${disk.path} is no plain file in a folder that can be written to`];
      if (names !== '1') return [`${disk.path} has a second name`];
      add(disk.path.slice(0, disk.path.lastIndexOf('/')), Number(blocks) * Number(size), Number(free));
      return [];
    }
    const volume = volumeIn(disk.path);
    if (volume === undefined) return [`${disk.path} names no logical volume`];
    const hosts = this.options.hostsOf(pool.id);
    if (hosts.some((h) => h !== host))
      return [`several hosts use volume group ${volume.group}, and a snapshot belongs to one host`];
    const seen = await this.volume(host, `${volume.group}/${volume.name}`, signal);
    if (seen === undefined) return [`${disk.path} is no logical volume there`];
    const why: string[] = [];
    if (disk.volume !== undefined && disk.volume.volume !== seen.uuid)
      why.push(`${disk.path} is another volume than before`);
    if (!seen.active) why.push(`${disk.path} is not active there`);
    if (seen.segments !== 'linear' && seen.segments !== 'striped')
      why.push(`${disk.path} is of kind ${seen.segments}`);
    if (seen.missing > 0) why.push(`${seen.missing} physical volumes of ${volume.group} are missing`);
    add(`volume group ${volume.group}`, Math.ceil(seen.bytes * snapshotShare) + snapshotBytes, seen.free);
    return why;
  }

  private async volume(host: HostId, name: string, signal: AbortSignal) {
    const answer = await this.options.asRoot(host, scripts.volumeFacts, [name], deadlines.readMs, signal);
    const [uuid, bytes, active, segments, free, missing] = answer.stdout.trim().split('|');
    if (answer.code !== 0 || uuid === undefined || missing === undefined) return undefined;
    return {
      ...{ uuid, bytes: Number(bytes), active: active === 'active', segments: segments ?? '' },
      ...{ free: Number(free), missing: Number(missing) },
    };
  }

  /** Beside a file; of a volume in a folder of the host that is empty after its boot. */
  private lockOf({ path }: VmDisk, attempt: string): string {
    const volume = volumeIn(path);
    const { lockFolder = '/run' } = this.options;
    return volume === undefined
      ? stateOf(path, attempt)
      : `${lockFolder}/vmedic-repair-${attempt}-${volume.group}-${volume.name}`;
  }

  private poolOf({ poolId }: VmDisk): Pool | undefined {
    return this.options.pools.find((p) => p.id === poolId);
  }

  private async read(
    host: HostId,
    script: string,
    args: readonly string[],
    signal: AbortSignal,
  ): Promise<string> {
    const answer = await this.options.asRoot(host, script, args, deadlines.readMs, signal);
    if (answer.code === 0) return answer.stdout.trim();
    const detail = `exit code ${answer.code}: ${answer.stderr.trim().slice(0, 300)}`;
    throw new DriverFault('HOST_COMMAND_FAILED', { host, detail });
  }
}

/** A snapshot holds its table beside the blocks of its origin: some hundredths more, in whole extents. */
const snapshotShare = 1.02;
const snapshotBytes = 16 * 1024 * 1024;

/** No tag of a volume that a move has made: of those with one, a move may remove what it has emptied. */
const tagOf = (attempt: string): string => `vmedic-repair.${attempt}`;

/** Undefined unless it was printed to its end. */
export function mendedFrom(printed: string): MendedFileSystem[] | undefined {
  const lines = printed.trim().split('\n');
  if (lines.pop() !== 'end') return undefined;
  return lines.flatMap((line) => {
    const [, device, type, found, said = ''] =
      /^(\S+) (\S+) (whole|mended|damaged|left) ?(.*)$/.exec(line) ?? [];
    if (device === undefined || type === undefined) return [];
    return [{ device, type, found: found as MendedFileSystem['found'], said: said.trim() }];
  });
}

function refusal(
  host: HostId,
  { name: vm }: RepairOrder,
  what: string,
  { code, stderr }: { readonly code?: number; readonly stderr: string },
): DriverFault {
  return new DriverFault('REPAIR_FAILED', {
    what,
    vm,
    host,
    detail: lastLine({ stderr, ...(code !== undefined && { code }) }),
  });
}

function lastLine({ code, stderr }: { readonly code?: number; readonly stderr: string }): string {
  const said = stderr.trim().split('\n').at(-1) ?? '';
  return said === '' ? `exit code ${code ?? 'not known'}` : said.slice(0, 300);
}
