/** How a move reaches its hosts: virsh for the VM, scripts for its files. One for all parts of the driver. */
import type { ActOutcome } from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import type { HostId, PoolId, VmId } from '../../domain/ids';
import type { BeforeImage, MoveTask, TaskState } from '../../domain/volume-move';
import { type ChildGateway, openChildGateway } from '../child-processes/gateway';
import type { HostScriptEnd, RunOnHost } from '../child-processes/on-host';
import { type Concurrency, type Deadlines, HostConnection } from './connection';
import { compareDisks, lookAtCopy } from './copy-scripts';
import type { DiskState } from './disk-state';
import type { PoolOf } from './domain-xml';
import { libvirtConcurrency, libvirtDeadlines } from './hypervisor';
import type { LogicalVolumes } from './logical-volumes';
import { ok, outcomeOf, refused } from './outcomes';
import { besides, type Part, type Parts, partsOf, type Place, Places, wholeSign } from './places';
import { ScratchFiles } from './scratch-files';
import { sshTransport } from './ssh-transport';
import { quoted, Virsh } from './virsh';
import { errorSentence } from './virsh-text';
import { readVm, type SeenVm } from './vm-disks';

export interface LibvirtMovesOptions {
  readonly hosts: readonly { readonly id: HostId; readonly uri: string }[];
  /** All hosts that may know a VM of this host: its cluster. */
  readonly clusterOf: (host: HostId) => readonly HostId[];
  readonly pools: readonly Pool[];
  /** The declared hosts that a pool is on. */
  readonly hostsOf: (pool: PoolId) => readonly HostId[];
  readonly poolOf: PoolOf;
  readonly runScript: RunOnHost;
  readonly volumes: LogicalVolumes;
  readonly gateway?: ChildGateway;
  readonly deadlines?: Partial<Deadlines>;
  readonly concurrency?: Partial<Concurrency>;
  readonly virsh?: string;
}

export const shortMs = 10_000;
/** Reads both files whole: a terabyte at 3 GiB/s takes six minutes. */
export const compareMs = 3_600_000;
const actMs = 30_000;
export const lookEveryMs = 200;

export class MoveReach {
  readonly run: RunOnHost;
  readonly places: Places;
  private readonly gateway: ChildGateway;
  private readonly connections: ReadonlyMap<HostId, HostConnection>;
  private readonly files = new ScratchFiles();
  private readonly ssh = sshTransport();

  constructor(readonly options: LibvirtMovesOptions) {
    this.gateway = options.gateway ?? openChildGateway();
    this.run = options.runScript;
    this.places = new Places(options.runScript, options.volumes);
    const virsh = new Virsh(this.gateway, options.virsh ?? 'virsh');
    const deadlines = { ...libvirtDeadlines, ...options.deadlines };
    const concurrency = { ...libvirtConcurrency, ...options.concurrency };
    this.connections = new Map(
      options.hosts.map(({ id, uri }) => [
        id,
        new HostConnection(id, this.ssh.uri(uri), virsh, deadlines, concurrency),
      ]),
    );
  }

  connection(host: HostId): HostConnection {
    const found = this.connections.get(host);
    if (found === undefined)
      throw new DriverFault('UNKNOWN_HOST', { host, known: [...this.connections.keys()].join(', ') });
    return found;
  }

  async act(
    host: HostId,
    vm: string,
    call: string,
    command: string,
    signal: AbortSignal,
  ): Promise<ActOutcome> {
    const answer = await this.connection(host).act(() => undefined, [command], { deadlineMs: actMs }, signal);
    if (answer.kind === 'held-back') return ok;
    if (answer.kind !== 'answered') return outcomeOf(answer, call, host, vm);
    if (answer.errors === '') return ok;
    return refused(fault('MOVE_REFUSED', { vm, detail: `${call}: ${errorSentence(answer.errors)}` }));
  }

  async script(
    host: HostId,
    script: string,
    args: readonly string[],
    deadlineMs: number,
    signal: AbortSignal,
    run: RunOnHost = this.run,
  ): Promise<HostScriptEnd> {
    const end = await run(host, script, args, deadlineMs, signal);
    if (end.code === 0) return end;
    throw new DriverFault('HOST_COMMAND_FAILED', {
      host,
      detail: `exit code ${end.code}: ${end.stderr.trim().slice(0, 300)}`,
    });
  }

  /** How the copy of a stopped VM's disk stands, and what it said last. */
  async copyState(host: HostId, { source, target }: Part, signal: AbortSignal): Promise<[string, string]> {
    const args = [besides(target), wholeSign(target)];
    const run = this.places.runAt(source, target);
    const { stdout } = await this.script(host, lookAtCopy, args, shortMs, signal, run);
    const [state = 'none', ...said] = stdout.split('\n');
    return [state.trim(), said.join('\n').replaceAll('\r', '\n').trim()];
  }

  /** Reads both ends whole. */
  compare(host: HostId, { source, target }: Part, signal: AbortSignal): Promise<HostScriptEnd> {
    const args = [source.path, source.format, target.path, target.format];
    return this.places.runAt(source, target)(host, compareDisks, args, compareMs, signal);
  }

  async everywhere(host: HostId, vm: VmId, off: readonly HostId[], signal: AbortSignal): Promise<SeenVm[]> {
    const hosts = this.options.clusterOf(host).filter((h) => !off.includes(h));
    const all = await Promise.all(hosts.map((h) => readVm(this.connection(h), vm, signal)));
    return all.filter((s) => s !== undefined);
  }

  define(before: BeforeImage, text: string, signal: AbortSignal): Promise<ActOutcome> {
    const { hostId } = before.order;
    return this.files.holding(text, (file) =>
      this.act(hostId, before.name, 'define', `define --validate --file ${quoted(file)}`, signal),
    );
  }

  async close(): Promise<void> {
    if (this.options.gateway === undefined) await this.gateway.close();
    await this.files.close();
    this.ssh.close();
  }
}

/** What an order is about, in this driver's own terms. */
export function movedVm(before: BeforeImage): Parts & { readonly vmId: VmId } {
  const parts = partsOf(before);
  if (before.order.vmId === undefined)
    throw new DriverFault('MOVE_REFUSED', { vm: before.name, detail: 'it is about no VM' });
  return { ...parts, vmId: before.order.vmId };
}

/** Named after the targets, which carry the attempt. */
export const taskOf = (before: BeforeImage): MoveTask => {
  const { hostId, disks } = partsOf(before);
  return { id: `${hostId} ${disks.map((d) => d.target.path).join(' ')}` };
};

export const diskOf = (disks: readonly DiskState[] | undefined, device: string): DiskState | undefined =>
  disks?.find((d) => d.device === device);

export const liveDisk = (seen: SeenVm | undefined, device: string): DiskState | undefined =>
  diskOf(seen?.live, device);

/** A disk that somebody copies, and not to where this order has it. */
export function foreignJob(seen: SeenVm, { disks }: Parts): string | undefined {
  const targets: readonly Place[] = disks.map((d) => d.target);
  const job = seen.live?.find(
    (d) => d.mirror !== undefined && !targets.some((t) => t.path === d.mirror?.path),
  );
  return job === undefined ? undefined : `${job.device} is being copied to ${job.mirror?.path ?? ''}`;
}

/** The copy of this disk is begun, or was: QEMU mirrors it to our target, or runs on it. */
export function isBegun(seen: SeenVm | undefined, { device, target }: Part): boolean {
  const disk = liveDisk(seen, device);
  return disk !== undefined && (disk.mirror?.path === target.path || disk.path === target.path);
}

export const failedTask = (before: BeforeImage, detail: string): TaskState => ({
  kind: 'ended',
  says: 'failed',
  fault: fault('MOVE_NOT_DONE', { vm: before.name, detail }),
});

export type FollowDisk = (
  reach: MoveReach,
  before: BeforeImage,
  part: Part,
  seen: SeenVm | undefined,
  signal: AbortSignal,
) => Promise<TaskState>;

/** Each disk's copy in its turn, on one reading of the VM. */
export async function followDisks(
  reach: MoveReach,
  before: BeforeImage,
  follow: FollowDisk,
  signal: AbortSignal,
): Promise<TaskState> {
  const { hostId, vmId, disks } = movedVm(before);
  const seen = await readVm(reach.connection(hostId), vmId, signal);
  const states: TaskState[] = [];
  for (const part of disks) states.push(await follow(reach, before, part, seen, signal));
  return together(states);
}

/** What several disks come to together: the worst of them. */
function together(states: readonly TaskState[]): TaskState {
  const failed = states.find((s) => s.kind === 'ended' && s.says !== 'done');
  if (failed !== undefined) return failed;
  const running = states.filter((s) => s.kind === 'running');
  if (running.length > 0) {
    const percents = states.map((s) => (s.kind === 'running' ? s.percent : 100));
    const known = percents.filter((p) => p !== undefined);
    const sum = known.reduce((a, b) => a + b, 0);
    return {
      kind: 'running',
      percent: known.length < percents.length ? undefined : Math.floor(sum / known.length),
    };
  }
  return states.find((s) => s.kind === 'ready') ?? { kind: 'ended', says: 'done', fault: undefined };
}
