/** How a move reaches its hosts: virsh for the VM, scripts for its files. One for all parts of the driver. */
import type { ActOutcome } from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import type { HostId, VmId } from '../../domain/ids';
import type { BeforeImage, MoveTask, TaskState } from '../../domain/volume-move';
import { type ChildGateway, openChildGateway } from '../child-processes/gateway';
import type { HostScriptEnd, RunOnHost } from '../child-processes/on-host';
import { type Concurrency, type Deadlines, HostConnection } from './connection';
import { lookAtCopy } from './copy-scripts';
import type { DiskState } from './disk-state';
import type { PoolOf } from './domain-xml';
import { libvirtConcurrency, libvirtDeadlines } from './hypervisor';
import { ok, outcomeOf, refused } from './outcomes';
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
  readonly poolOf: PoolOf;
  readonly runScript: RunOnHost;
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
  private readonly gateway: ChildGateway;
  private readonly connections: ReadonlyMap<HostId, HostConnection>;
  private readonly files = new ScratchFiles();
  private readonly ssh = sshTransport();

  constructor(readonly options: LibvirtMovesOptions) {
    this.gateway = options.gateway ?? openChildGateway();
    this.run = options.runScript;
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
  ): Promise<HostScriptEnd> {
    const end = await this.run(host, script, args, deadlineMs, signal);
    if (end.code === 0) return end;
    throw new DriverFault('HOST_COMMAND_FAILED', {
      host,
      detail: `exit code ${end.code}: ${end.stderr.trim().slice(0, 300)}`,
    });
  }

  async copyState(host: HostId, target: string, signal: AbortSignal): Promise<[string, string]> {
    const { stdout } = await this.script(host, lookAtCopy, [target], shortMs, signal);
    const [state = 'none', ...said] = stdout.split('\n');
    return [state.trim(), said.join('\n').replaceAll('\r', '\n').trim()];
  }

  async everywhere(host: HostId, vm: VmId, off: readonly HostId[], signal: AbortSignal): Promise<SeenVm[]> {
    const hosts = this.options.clusterOf(host).filter((h) => !off.includes(h));
    const all = await Promise.all(hosts.map((h) => readVm(this.connection(h), vm, signal)));
    return all.filter((s) => s !== undefined);
  }

  define(before: BeforeImage, text: string, signal: AbortSignal): Promise<ActOutcome> {
    const { hostId } = partsOf(before);
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
export interface Parts {
  readonly device: string;
  readonly source: string;
  readonly target: string;
  readonly hostId: HostId;
  readonly vmId: VmId;
  readonly format: string;
}

export function partsOf(before: BeforeImage): Parts {
  const disk = before.disks.find((d) => d.wanted !== undefined);
  const target = disk?.wanted?.path;
  if (disk === undefined || target === undefined || before.order.vmId === undefined)
    throw new DriverFault('MOVE_REFUSED', {
      vm: before.name,
      detail: 'what was read before is not of this driver',
    });
  const { hostId, vmId } = before.order;
  return { hostId, vmId, device: disk.device, source: disk.at.path, target, format: disk.at.format };
}

export const taskOf = (before: BeforeImage): MoveTask => ({
  id: `${before.order.hostId} ${partsOf(before).target}`,
});

export const liveDisk = (seen: SeenVm | undefined, device: string): DiskState | undefined =>
  seen?.live?.find((d) => d.device === device);

export function foreignJob(seen: SeenVm, target: string): string | undefined {
  const job = seen.live?.find((d) => d.mirror !== undefined && d.mirror.path !== target);
  return job === undefined ? undefined : `${job.device} is being copied to ${job.mirror?.path ?? ''}`;
}

export const failedTask = (before: BeforeImage, detail: string): TaskState => ({
  kind: 'ended',
  says: 'failed',
  fault: fault('MOVE_NOT_DONE', { vm: before.name, detail }),
});
