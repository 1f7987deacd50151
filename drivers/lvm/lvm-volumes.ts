/**
 * Pools of logical volumes. Theory of operation: a volume is found by what it was while its VM ran (the UUIDs of its group and of itself);
 * it is activated alone, never its group, and what came of it is read from LVM's own record, because `lvchange` answers 0 also when it has
 * activated nothing.
 *
 * INVARIANTS:
 * - Nothing is activated while any disk of the VM is missing, partial, ambiguous or another one than it was.
 * - Between hosts a plain logical volume has no lock: every other host of the pool that answers is asked, and one on which it is active
 *   stops the start. A group under lvmlockd is activated exclusively besides.
 * - Nothing is created, zeroed, repaired or removed, and no device is found by its device name.
 */
import type { StorageLocksPort, StorageReadiness, VolumesPort } from '../../activities/ports';
import type { StartPermit } from '../../domain/evidence';
import { DriverFault, fault } from '../../domain/faults';
import type { HostId, PoolId } from '../../domain/ids';
import type { VolumeGroupFact } from '../../domain/readiness';
import type { VmDisk } from '../../domain/records';
import type { RunOnHost } from '../child-processes';
import { createNoLocks } from '../no-locks';
import { activateScript, asRootScript, backingScript, deactivateScript, valuesIn } from './activation-script';
import { type Judged, judgeVolume } from './judge-volume';
import { type LogicalVolume, type LvmReport, namesIn, reportFrom, reportScript } from './report';

export interface LvmOptions {
  readonly runScript: RunOnHost;
  /** The declared hosts of each pool of this kind. */
  readonly pools: ReadonlyMap<PoolId, readonly HostId[]>;
  readonly deadlines?: Partial<LvmDeadlines>;
}

export interface LvmDeadlines {
  /** Storage that went away makes LVM wait for its timeouts. */
  readonly readMs: number;
  readonly actMs: number;
}

export const lvmDeadlines: LvmDeadlines = { readMs: 15_000, actMs: 30_000 };

export interface LvmStorage {
  readonly volumes: VolumesPort;
  readonly storageLocks: StorageLocksPort;
  /** Volume groups with their volumes, for readiness. Throws `HOST_COMMAND_FAILED`. */
  volumeGroups(host: HostId, signal: AbortSignal): Promise<VolumeGroupFact[]>;
}

/** An image may stand on an image, and so on; more than this is a circle. */
const chainMax = 8;

class NotReady extends Error {}
/** On no host, as things are. */
class NotReadyAnywhere extends NotReady {}

export function createLvmStorage(options: LvmOptions): LvmStorage {
  const lvm = new Lvm(options);
  return {
    volumes: lvm,
    storageLocks: createNoLocks(
      (id) => options.pools.has(id),
      'logical volumes carry no locks that could be released',
    ),
    volumeGroups: async (host, signal) => groupFacts(await lvm.report(host, signal)),
  };
}

class Lvm implements VolumesPort {
  private readonly deadlines: LvmDeadlines;

  constructor(private readonly options: LvmOptions) {
    this.deadlines = { ...lvmDeadlines, ...options.deadlines };
  }

  async makeReady(
    permit: StartPermit,
    disks: readonly VmDisk[],
    signal: AbortSignal,
  ): Promise<StorageReadiness> {
    try {
      return { ready: true, activated: await this.activateAll(permit, disks, signal) };
    } catch (error) {
      if (!(error instanceof NotReady)) throw error;
      const everywhere = error instanceof NotReadyAnywhere && ({ everywhere: 'yes' } as const);
      const facts = { vm: permit.vmId, host: permit.target, detail: error.message, ...everywhere };
      return { ready: false, fault: fault('STORAGE_NOT_READY', facts) };
    }
  }

  async standDown(host: HostId, activated: readonly string[], signal: AbortSignal): Promise<void> {
    const own = activated.filter((path) => namesIn(path) !== undefined);
    if (own.length === 0) return;
    const report = await this.report(host, signal);
    for (const path of own) {
      const volume = activeVolume(report, host, path);
      // What is not active there needs no taking back.
      if (volume === undefined) continue;
      const args = [`${volume.groupName}/${volume.name}`, volume.uuid];
      const end = await this.asRoot(host, deactivateScript, args, this.deadlines.actMs, signal);
      const after = valuesIn(end.stdout).get('after');
      if (end.code !== 0 || after === undefined)
        throw notTakenBack(host, `whether ${path} is inactive could not be read: ${lastLine(end.stderr)}`);
      if (after === 'active') throw notTakenBack(host, `${path} stays active: ${lastLine(end.stderr)}`);
    }
  }

  async identify(host: HostId, disks: readonly VmDisk[], signal: AbortSignal): Promise<VmDisk[]> {
    const mine = (d: VmDisk): boolean => d.poolId !== undefined && this.options.pools.has(d.poolId);
    if (!disks.some(mine)) return [...disks];
    const report = await this.report(host, signal);
    return disks.map((disk) => {
      if (!mine(disk)) return disk;
      const judged = judgeVolume(report, disk.path, undefined);
      if (judged.kind === 'not') return disk;
      return { ...disk, volume: { group: judged.group.uuid, volume: judged.volume.uuid } };
    });
  }

  async report(host: HostId, signal: AbortSignal): Promise<LvmReport> {
    const end = await this.asRoot(host, reportScript, [], this.deadlines.readMs, signal);
    const report = end.code === 0 ? reportFrom(end.stdout) : undefined;
    if (report !== undefined) return report;
    const detail = `LVM was not read to the end: ${lastLine(end.stderr)}`;
    throw new DriverFault('HOST_COMMAND_FAILED', { host, detail });
  }

  /** LVM answers nobody but root. */
  private asRoot(
    host: HostId,
    script: string,
    args: readonly string[],
    deadlineMs: number,
    signal: AbortSignal,
  ): ReturnType<RunOnHost> {
    return this.options.runScript(host, asRootScript, [script, ...args], deadlineMs, signal);
  }

  private async activateAll(
    permit: StartPermit,
    disks: readonly VmDisk[],
    signal: AbortSignal,
  ): Promise<string[]> {
    const report = await this.report(permit.target, signal);
    const found = disks.map((d) => [d, orNotReady(judgeVolume(report, d.path, d.volume))] as const);
    await this.refuseIfActiveElsewhere(permit, disks, found, signal);
    const activated: string[] = [];
    for (const [disk, judged] of found) {
      const mode = judged.group.clustered ? '-aey' : '-ay';
      if (await this.activate(permit.target, judged, mode, signal)) activated.push(disk.path);
      if (disk.format === 'qcow2') await this.activateBacking(permit.target, disk.path, report, signal);
    }
    return activated;
  }

  /** True when it is active by our hand, now or since an earlier try. */
  private async activate(
    host: HostId,
    { group, volume }: Extract<Judged, { kind: 'found' }>,
    mode: '-ay' | '-aey' | '-asy',
    signal: AbortSignal,
  ): Promise<boolean> {
    const name = `${group.name}/${volume.name}`;
    const args = [name, volume.uuid, mode];
    const end = await this.asRoot(host, activateScript, args, this.deadlines.actMs, signal);
    const said = valuesIn(end.stdout);
    const why =
      lastLine(end.stderr) || 'lvchange said nothing (volume_list or activation skip may forbid it)';
    if (said.get('after') === undefined)
      throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: `/dev/${name}: ${why}` });
    if (said.get('after') !== 'active') throw new NotReady(`/dev/${name} stays inactive: ${why}`);
    if (said.get('node') !== 'yes')
      throw new NotReady(`/dev/${name} is active and has no device: does udev run?`);
    return said.get('mine') === 'yes';
  }

  /**
   * A qcow2 on a volume may stand on an image in another one: that too must be active, shared, since other VMs read it as well. It is left
   * active by the way back for the same reason.
   */
  private async activateBacking(
    host: HostId,
    top: string,
    report: LvmReport,
    signal: AbortSignal,
  ): Promise<void> {
    let path = top;
    for (let depth = 0; depth < chainMax; depth++) {
      const end = await this.asRoot(host, backingScript, [path], this.deadlines.readMs, signal);
      if (end.code !== 0) throw new NotReady(`${path} cannot be read as qcow2: ${lastLine(end.stderr)}`);
      const said = valuesIn(end.stdout);
      path = said.get('behind') ?? '';
      if (path === '') return;
      // A file behind it lies in a folder; whether it opens is for the start to find out.
      if (namesIn(path) === undefined) return;
      const judged = orNotReady(judgeVolume(report, path, undefined));
      await this.activate(host, judged, judged.group.clustered ? '-asy' : '-ay', signal);
      // Anything else ends the chain; no format is taken for raw, as libvirt takes it, because a guest may have written what looks like one.
      if (said.get('format') !== 'qcow2') return;
    }
    throw new NotReady(`the images behind ${top} do not end after ${chainMax}`);
  }

  private async refuseIfActiveElsewhere(
    permit: StartPermit,
    disks: readonly VmDisk[],
    found: readonly (readonly [VmDisk, Extract<Judged, { kind: 'found' }>])[],
    signal: AbortSignal,
  ): Promise<void> {
    const hosts = new Set(
      disks.flatMap((d) => (d.poolId === undefined ? [] : (this.options.pools.get(d.poolId) ?? []))),
    );
    const off = permit.accounts.filter((a) => a.by === 'fence-evidence').map((a) => a.hostId);
    const others = [...hosts].filter((h) => h !== permit.target && !off.includes(h));
    const reports = await Promise.all(others.map((h) => this.reportOrSilence(h, permit, signal)));
    for (const [i, host] of others.entries())
      for (const [disk, { volume }] of found) {
        const there = reports[i]?.volumes.find((v) => v.uuid === volume.uuid);
        if (there?.stateUnknown === true)
          throw new NotReadyAnywhere(
            `whether ${disk.path} is active on ${host} could not be read: LVM has no kernel there`,
          );
        if (there?.active === true)
          throw new NotReadyAnywhere(
            `${disk.path} is active on ${host}: deactivate it there (lvchange -an) if nobody uses it`,
          );
      }
  }

  /** A host that may hold the VM must be read; silence of any other blocks nothing. */
  private async reportOrSilence(
    host: HostId,
    permit: StartPermit,
    signal: AbortSignal,
  ): Promise<LvmReport | undefined> {
    try {
      return await this.report(host, signal);
    } catch (error) {
      if (!(error instanceof DriverFault)) throw error;
      if (permit.accounts.some((a) => a.hostId === host))
        throw new NotReadyAnywhere(`whether it is active on ${host} could not be read: ${error.message}`);
      return undefined;
    }
  }
}

const notTakenBack = (host: HostId, detail: string): DriverFault =>
  new DriverFault('HOST_COMMAND_FAILED', { host, detail });

/** By its names alone, since a volume that has lost a disk meanwhile is to be found too; never by a guess between two. */
function activeVolume(report: LvmReport, host: HostId, path: string): LogicalVolume | undefined {
  const names = namesIn(path);
  const found = report.volumes.filter((v) => v.groupName === names?.group && v.name === names.volume);
  if (found.some((v) => v.stateUnknown))
    throw notTakenBack(host, `whether ${path} is active could not be read: LVM has no kernel there`);
  const [active] = found.filter((v) => v.active);
  if (active !== undefined && found.length > 1)
    throw notTakenBack(host, `${path} is active, and ${found.length} volumes bear its name`);
  return active;
}

const groupFacts = ({ groups, volumes }: LvmReport): VolumeGroupFact[] =>
  groups.map((g) => ({
    ...g,
    volumes: volumes
      .filter((v) => v.groupUuid === g.uuid)
      .map((v) => ({ path: `/dev/${g.name}/${v.name}`, active: v.active })),
  }));

function orNotReady(judged: Judged): Extract<Judged, { kind: 'found' }> {
  if (judged.kind === 'found') return judged;
  throw new NotReady(judged.why);
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.trim() ?? '';
