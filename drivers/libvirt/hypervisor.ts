/**
 * The hypervisor port on libvirt: virsh children, because only a process boundary gives a call that can be ended.
 *
 * INVARIANTS:
 * - "Absent" comes from a complete list only; virsh says "failed to get domain" after a lost connection too.
 * - A call killed at its deadline is `unknown` for an act: killing virsh undoes nothing, the start may still run.
 * - The permit is asked for its freshness right before the start is sent, after all waiting.
 * - Nothing here removes a disk, an NVRAM file or a running VM.
 */
import type { ActOutcome, HintsPort, HypervisorPort, ReadDefinition } from '../../activities/ports';
import { permitIsFresh, type ResumePermit, type StartPermit } from '../../domain/evidence';
import { DriverFault, fault } from '../../domain/faults';
import type { HostId, VmId } from '../../domain/ids';
import { invariant } from '../../domain/invariant';
import { type HostVmList, isAtRest, type ObservedVm, type Timestamp } from '../../domain/observations';
import type { StoredDefinition } from '../../domain/records';
import { type ChildGateway, openChildGateway } from '../child-processes/gateway';
import { type Concurrency, type Deadlines, HostConnection } from './connection';
import { readDefinitions } from './definitions';
import { followEvents } from './follow';
import type { PoolOf } from './domain-xml';
import { whoRuns } from './lock-holder';
import {
  freed,
  ok,
  outcomeOf,
  refused,
  type Refusal,
  settledBeforeFreeing,
  settledBeforeStart,
} from './outcomes';
import { type HypervisorSign, probeDaemon } from './probe';
import { ScratchFiles } from './scratch-files';
import { sshTransport } from './ssh-transport';
import { quoted, Virsh, type VirshAnswer } from './virsh';
import { VirshSession } from './virsh-session';
import { anotherJobHoldsIt, errorSentence, lockHeldIn, noSuchDomain } from './virsh-text';

export interface LibvirtOptions {
  readonly hosts: readonly { readonly id: HostId; readonly uri: string }[];
  /** Which pool a disk's path lies in; without it no disk belongs to any. */
  readonly poolOf?: PoolOf;
  /** Shared with other drivers when given, and then left open by `close`. */
  readonly gateway?: ChildGateway;
  readonly deadlines?: Partial<Deadlines>;
  readonly concurrency?: Partial<Concurrency>;
  /** The virsh program. */
  readonly virsh?: string;
  /** Whether one virsh stays for each host; it does when left out. */
  readonly stays?: boolean;
}

export interface LibvirtHypervisor extends HypervisorPort, HintsPort {
  /** Whether the agent inside the guest answers a ping. False when the VM, its agent or its host does not answer. */
  pingGuestAgent(host: HostId, vm: VmId, signal: AbortSignal): Promise<boolean>;
  /** Ends the gateway process, if it is this driver's own, and every child with it. */
  close(): Promise<void>;
}

export const libvirtDeadlines: Deadlines = {
  readMs: 3_000,
  listMs: 2_000,
  definitionsMs: 5_000,
  defineMs: 10_000,
  startMs: 60_000,
};
export const libvirtConcurrency: Concurrency = { reads: 2, acts: 4, queueMax: 16, waitMsMax: 20_000 };

export function createLibvirtHypervisor(options: LibvirtOptions): LibvirtHypervisor {
  return new Libvirt(options);
}

class Libvirt implements LibvirtHypervisor {
  private readonly gateway: ChildGateway;
  private readonly connections: ReadonlyMap<HostId, HostConnection>;
  private readonly deadlines: Deadlines;
  private readonly poolOf: PoolOf;
  private readonly files = new ScratchFiles();
  private readonly ssh = sshTransport();
  private readonly over = new AbortController();

  constructor(private readonly options: LibvirtOptions) {
    this.gateway = options.gateway ?? openChildGateway();
    this.deadlines = { ...libvirtDeadlines, ...options.deadlines };
    this.poolOf = options.poolOf ?? (() => undefined);
    const concurrency = { ...libvirtConcurrency, ...options.concurrency };
    const program = options.virsh ?? 'virsh';
    const virsh = new Virsh(this.gateway, program);
    const connection = (id: HostId, written: string): HostConnection => {
      const uri = this.ssh.uri(written);
      const session =
        options.stays === false
          ? undefined
          : new VirshSession({ gateway: this.gateway, program, uri }, this.over.signal);
      return new HostConnection(id, uri, virsh, deadlinesFor(written, this.deadlines), concurrency, session);
    };
    this.connections = new Map(options.hosts.map(({ id, uri }) => [id, connection(id, uri)]));
  }

  probe(host: HostId, signal: AbortSignal): Promise<HypervisorSign> {
    return probeDaemon(this.connection(host), signal);
  }

  async list(host: HostId, signal: AbortSignal): Promise<HostVmList> {
    const { observedAt, vms } = await this.connection(host).snapshot(signal);
    return { hostId: host, observedAt, vms };
  }

  definitions(
    host: HostId,
    vms: readonly VmId[] | undefined,
    signal: AbortSignal,
  ): Promise<ReadDefinition[]> {
    return readDefinitions(this.connection(host), vms, this.deadlines.definitionsMs, this.poolOf, signal);
  }

  async define(host: HostId, definition: StoredDefinition, signal: AbortSignal): Promise<ActOutcome> {
    const connection = this.connection(host);
    const vm = definition.vmId;
    const name = nameIn(definition);
    const answer = await this.files.holding(definition.text, (file) =>
      this.send(
        connection,
        () => undefined,
        [`define --validate --file ${quoted(file)}`, `dominfo ${vm}`],
        this.deadlines.defineMs,
        signal,
      ),
    );
    if (answer.kind !== 'answered') return outcomeOf(answer, 'define', host, name);
    const info = answer.sections[1] ?? '';
    const refuse = (detail: string): Refusal => refused(fault('DEFINE_REFUSED', { host, vm: name, detail }));
    if (answer.errors !== '' || !/^Persistent:\s+yes$/m.test(info))
      return refuse(errorSentence(answer.errors));
    return /^Managed save:\s+yes$/m.test(info)
      ? refuse(
          'a saved memory image of it lies there, which a start would restore; look, then virsh managedsave-remove',
        )
      : ok;
  }

  async start(
    permit: StartPermit,
    definition: StoredDefinition,
    persistent: boolean,
    signal: AbortSignal,
  ): Promise<ActOutcome> {
    invariant(permit.vmId === definition.vmId, 'the permit and the definition are about the same VM');
    const { target: host, vmId: vm } = permit;
    const connection = this.connection(host);
    // The permit rests on a list of this host, which is mostly the last one read: it need not be read again for a look at this VM.
    const list = permit.accounts.find((a) => a.hostId === host && a.by === 'own-list');
    const before = await this.stateBefore(connection, vm, signal, list?.observedAt);
    if ('kind' in before) return before;
    const name = nameIn(definition);
    const settled = settledBeforeStart(host, name, before);
    if (settled !== undefined) return settled;
    const stale = (): Refusal | undefined =>
      permitIsFresh(permit, Date.now())
        ? undefined
        : refused(
            fault('PERMIT_REFUSED', { host, vm: name, detail: 'its permit has aged: ask for a new one' }),
          );
    const send = (command: string) =>
      this.send(connection, stale, [command, `domstate ${vm} --reason`], this.deadlines.startMs, signal);
    const answer = persistent
      ? await send(`start ${vm}`)
      : await this.files.holding(definition.text, (file) => send(`create ${quoted(file)}`));
    if (answer.kind !== 'answered') return outcomeOf(answer, 'start', host, name);
    return this.judgeStart(host, { vm, name }, answer, signal);
  }

  async resume(permit: ResumePermit, signal: AbortSignal): Promise<ActOutcome> {
    const { target: host, vmId: vm } = permit;
    const aged = (): Refusal | undefined =>
      permitIsFresh(permit, Date.now())
        ? undefined
        : refused(fault('PERMIT_REFUSED', { host, vm, detail: 'its permit has aged: ask for a new one' }));
    return this.freePaused(host, vm, 'resume', aged, signal);
  }

  shutDown(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome> {
    return this.stop(host, vm, 'shutdown', signal);
  }

  end(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome> {
    return this.stop(host, vm, 'destroy', signal);
  }

  private async stop(
    host: HostId,
    vm: VmId,
    call: 'shutdown' | 'destroy',
    signal: AbortSignal,
  ): Promise<ActOutcome> {
    const connection = this.connection(host);
    const before = await this.stateBefore(connection, vm, signal);
    if ('kind' in before) return before;
    const { seen } = before;
    if (seen === undefined || isAtRest(seen.state)) return ok;
    const command = `${call} ${vm}`;
    const answer = await this.send(connection, () => undefined, [command], this.deadlines.defineMs, signal);
    if (answer.kind !== 'answered') return outcomeOf(answer, call, host, seen.name);
    if (answer.errors === '' || noSuchDomain.test(answer.errors)) return ok;
    return refused(fault('SHUT_DOWN_REFUSED', { host, vm: seen.name, detail: errorSentence(answer.errors) }));
  }

  endPaused(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome> {
    return this.freePaused(host, vm, 'destroy', () => undefined, signal);
  }

  /** Looked at right before: neither act asks libvirt whether the VM is still paused. */
  private async freePaused(
    host: HostId,
    vm: VmId,
    call: 'resume' | 'destroy',
    check: () => Refusal | undefined,
    signal: AbortSignal,
  ): Promise<ActOutcome> {
    const connection = this.connection(host);
    const before = await this.stateBefore(connection, vm, signal);
    if ('kind' in before) return before;
    const settled = settledBeforeFreeing(host, vm, call, before);
    if (settled !== undefined) return settled;
    const commands = [`${call} ${vm}`, `domstate ${vm} --reason`];
    const answer = await this.send(connection, check, commands, this.deadlines.defineMs, signal);
    return freed(host, before.seen?.name ?? vm, call, answer);
  }

  async undefine(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome> {
    const connection = this.connection(host);
    const before = await this.stateBefore(connection, vm, signal);
    if ('kind' in before) return before;
    const seen = before.seen;
    if (seen === undefined) return ok;
    const refuse = (detail: string): Refusal =>
      refused(fault('UNDEFINE_REFUSED', { host, vm: seen.name, detail }));
    if (seen.state !== 'shut-off' && seen.state !== 'crashed')
      return refuse(`it is ${seen.state} (${seen.reason}) there`);
    const answer = await this.send(
      connection,
      () => undefined,
      // The NVRAM file stays: it may lie on shared storage and belong to the VM that runs elsewhere by now.
      [
        `dumpxml --inactive --security-info ${vm}`,
        `undefine ${vm} --managed-save --keep-nvram`,
        'list --all --uuid',
        'list --uuid',
      ],
      this.deadlines.defineMs,
      signal,
    );
    if (answer.kind !== 'answered') return outcomeOf(answer, 'undefine', host, seen.name);
    const [text = '', , known = '', active = ''] = answer.sections;
    if (!known.includes(vm)) return ok;
    if (active.includes(vm)) return this.giveDefinitionBack(connection, seen.name, text, signal);
    return refuse(errorSentence(answer.errors));
  }

  async disableAutostart(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome> {
    const connection = this.connection(host);
    const before = await this.stateBefore(connection, vm, signal);
    if ('kind' in before) return before;
    if (before.seen?.autostart !== true) return ok;
    const answer = await this.send(
      connection,
      () => undefined,
      [`autostart --disable ${vm}`, 'list --all --autostart --uuid'],
      this.deadlines.defineMs,
      signal,
    );
    if (answer.kind !== 'answered') return outcomeOf(answer, 'autostart --disable', host, before.seen.name);
    if (!(answer.sections[1] ?? '').includes(vm)) return ok;
    return refused(
      fault('UNDEFINE_REFUSED', { host, vm: before.seen.name, detail: errorSentence(answer.errors) }),
    );
  }

  async pingGuestAgent(host: HostId, vm: VmId, signal: AbortSignal): Promise<boolean> {
    const ping = `qemu-agent-command ${vm} ${quoted('{"execute":"guest-ping"}')} --timeout 2`;
    const connection = this.connection(host);
    // Two seconds are the agent's own.
    const deadlineMs = this.deadlines.readMs + 2_000;
    const answer = await connection.read([ping], { deadlineMs }, signal);
    // The host's silence is not the guest's.
    if (answer.kind !== 'answered') throw connection.unreachable(answer, signal);
    return answer.errors === '' && (answer.sections[0] ?? '').includes('return');
  }

  follow(host: HostId, heard: () => void, signal: AbortSignal): Promise<void> {
    const { uri } = this.connection(host);
    const program = this.options.virsh ?? 'virsh';
    return followEvents({ gateway: this.gateway, program, uri }, heard, signal);
  }

  async close(): Promise<void> {
    this.over.abort();
    if (this.options.gateway === undefined) await this.gateway.close();
    this.ssh.close();
    await this.files.close();
  }

  private connection(host: HostId): HostConnection {
    const found = this.connections.get(host);
    if (found === undefined)
      throw new DriverFault('UNKNOWN_HOST', { host, known: [...this.connections.keys()].join(', ') });
    return found;
  }

  /** What the host says of the VM before an act; an outcome when it could not be read, so that nothing was sent. */
  private async stateBefore(
    connection: HostConnection,
    vm: VmId,
    signal: AbortSignal,
    readAt?: Timestamp,
  ): Promise<{ seen: ObservedVm | undefined } | ActOutcome> {
    try {
      const { vms } = connection.lastSnapshot(readAt) ?? (await connection.snapshot(signal));
      return { seen: vms.find((v) => v.vmId === vm) };
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
  }

  /** Runs an act in its turn. What kept it from being sent is an outcome; so is what `check` objects to at the last moment. */
  private async send(
    connection: HostConnection,
    check: () => Refusal | undefined,
    commands: readonly string[],
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<VirshAnswer | ActOutcome> {
    try {
      const answer = await connection.act(check, commands, { deadlineMs }, signal);
      return answer.kind === 'held-back' ? answer.why : answer;
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
  }

  private async judgeStart(
    host: HostId,
    { vm, name }: { vm: VmId; name: string },
    answer: Extract<VirshAnswer, { kind: 'answered' }>,
    signal: AbortSignal,
  ): Promise<ActOutcome> {
    const state = (answer.sections[1] ?? '').trim();
    // Also when the start itself was refused: somebody else's start, or an earlier one of ours, came first.
    if (/^running\b/.test(state)) return ok;
    const lock = lockHeldIn(answer.errors);
    if (lock !== undefined) {
      const others = [...this.connections.values()].filter((c) => c.host !== host);
      const holder = await whoRuns(others, vm, signal);
      return refused(fault('LOCK_HELD', { vm: name, host, path: lock.path ?? 'not named', holder }));
    }
    const unknown = (detail: string): ActOutcome => ({
      kind: 'unknown',
      fault: fault('CALL_OUTCOME_UNKNOWN', { call: 'start', host, vm: name, detail }),
    });
    if (answer.errors === '') return unknown(`accepted, then read as "${state}"`);
    // Another job holds this very VM: most likely an earlier start of ours, which may still come to its end.
    if (anotherJobHoldsIt.test(answer.errors)) return unknown(errorSentence(answer.errors));
    return refused(fault('START_REFUSED', { host, vm: name, detail: errorSentence(answer.errors) }));
  }

  /** It was started between the look and the undefine, which made it transient: its definition is put back. */
  private async giveDefinitionBack(
    connection: HostConnection,
    vm: string,
    text: string,
    signal: AbortSignal,
  ): Promise<ActOutcome> {
    const host = connection.host;
    const answer = await this.files.holding(text, (file) =>
      this.send(
        connection,
        () => undefined,
        [`define --file ${quoted(file)}`],
        this.deadlines.defineMs,
        signal,
      ),
    );
    if (answer.kind !== 'answered') return outcomeOf(answer, 'define', host, vm);
    return refused(
      fault('UNDEFINE_REFUSED', { host, vm, detail: 'it was started there at the same moment' }),
    );
  }
}

/** What people call the VM, for sentences; its id when the text does not say. */
const nameIn = (definition: StoredDefinition): string =>
  /<name>([^<]+)<\/name>/.exec(definition.text)?.[1] ?? definition.vmId;

/** Above the 3 s that ssh takes to give up connecting: its words tell a dead host from one that only hangs. */
const sshReadMs = 4_500;

const deadlinesFor = (uri: string, deadlines: Deadlines): Deadlines =>
  uri.startsWith('qemu+ssh:') ? { ...deadlines, readMs: Math.max(deadlines.readMs, sshReadMs) } : deadlines;
