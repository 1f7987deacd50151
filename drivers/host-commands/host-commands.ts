/**
 * The host-commands port: ssh, or entry into a namespace. A host that does not answer is a sign, not an error; a failure on our own side
 * is an error, not a sign.
 */
import { connect } from 'node:net';
import type { HealthMark, HostCommandsPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { HostId, VmId } from '../../domain/ids';
import { InvariantViolation } from '../../domain/invariant';
import { type ChildGateway, openChildGateway } from '../child-processes/gateway';
import type { RunOnHost } from '../child-processes/on-host';
import { Lane } from '../child-processes/lane';
import { lookScript as consoleScript, markFrom, markScript } from './console';
import { ConsoleLooks } from './console-looks';
import { lookScript as diskScript, pathsToLookAt, sightsFrom } from './disk-sight';
import { claimArguments, claimFrom, claimScript } from './owner-mark';
import { type HostAnswer, HostDoors, type HostTransport } from './transport';

export interface HostCommandsOptions {
  readonly hosts: readonly {
    readonly id: HostId;
    readonly transport: HostTransport;
    /** Prints the id of the present boot. */
    readonly bootIdCommand?: readonly string[];
    /** Where on the host the mark of its VMedic is kept; left out: nowhere. */
    readonly ownerFile?: string;
  }[];
  /** Asked for `guest-agent` health checks; the hypervisor driver has it. */
  readonly pingGuestAgent?: (host: HostId, vm: VmId, signal: AbortSignal) => Promise<boolean>;
  /** Shared with other drivers when given, and then left open by `close`. */
  readonly gateway?: ChildGateway;
  readonly deadlines?: Partial<CommandDeadlines>;
  /** The ssh program. */
  readonly ssh?: string;
}

export interface CommandDeadlines {
  /** Boot id and console. Above ssh's own 3 s for connecting, so that its words are not lost. */
  readonly shortMs: number;
  /** Disks: a cold NFS mount answers its first read late. */
  readonly disksMs: number;
}

export const commandDeadlines: CommandDeadlines = { shortMs: 4_000, disksMs: 6_000 };

export interface HostCommands extends HostCommandsPort {
  /** For drivers that must look, or act, on a host themselves: the same way in, the same bulkhead. */
  readonly runScript: RunOnHost;
  close(): Promise<void>;
}

export function createHostCommands(options: HostCommandsOptions): HostCommands {
  return new Commands(options);
}

/** The kernel's own: new at every boot, never repeated. */
const kernelBootId = ['cat', '/proc/sys/kernel/random/boot_id'];
const bootIdPattern = /^[0-9A-Za-z][0-9A-Za-z-]{7,63}$/;
const lane = { atOnce: 4, queueMax: 32, waitMsMax: 20_000 };
/** What may run longer than this, as copies and checks of whole disks do, must not keep looks and starts waiting. */
const longMs = 60_000;
/** A lane of its own, with patience: what waits here follows work of hours. */
const longLane = { atOnce: 2, queueMax: 32, waitMsMax: 4 * 3_600_000 };
const tcpConnectMs = 2_000;

/**
 * bash opens TCP connections by itself; what else a host has (nc, curl) differs too much. 0: connected, 3: refused, 4: no answer within 2 s,
 * 5: it cannot tell.
 */
const reachScript = `
command -v bash >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1 || exit 5
said=$(LC_ALL=C timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>&1)
code=$?
[ "$code" = 0 ] && exit 0
[ "$code" = 124 ] && exit 4
case $said in
  *"Connection refused"*) exit 3 ;;
  *"No route to host"* | *"timed out"*) exit 4 ;;
esac
exit 5`;
const reachAnswers: Readonly<Record<number, 'answers' | 'refused' | 'silent'>> = {
  0: 'answers',
  3: 'refused',
  4: 'silent',
};

interface Entry {
  readonly transport: HostTransport;
  readonly bootIdCommand: readonly string[];
  readonly ownerFile: string | undefined;
  readonly lane: Lane;
  readonly longLane: Lane;
}

class Commands implements HostCommands {
  private readonly gateway: ChildGateway;
  private readonly doors: HostDoors;
  private readonly deadlines: CommandDeadlines;
  private readonly hosts: ReadonlyMap<HostId, Entry>;
  /** Not bound to one caller's cancellation, because others wait for the same look: its deadline ends it. */
  private readonly looks = new ConsoleLooks(async (host, args) => {
    const never = new AbortController().signal;
    const answer = await this.script(host, consoleScript, args, this.deadlines.shortMs, never);
    return answer.kind === 'silent' && answer.partial !== '' ? answer.partial : this.output(host, answer);
  });

  constructor(private readonly options: HostCommandsOptions) {
    this.gateway = options.gateway ?? openChildGateway();
    this.doors = new HostDoors(this.gateway, options.ssh ?? 'ssh');
    this.deadlines = { ...commandDeadlines, ...options.deadlines };
    this.hosts = new Map(
      options.hosts.map((h) => [
        h.id,
        {
          transport: h.transport,
          bootIdCommand: h.bootIdCommand ?? kernelBootId,
          ownerFile: h.ownerFile,
          lane: new Lane(h.id, lane),
          longLane: new Lane(h.id, longLane),
        },
      ]),
    );
  }

  bootId: HostCommandsPort['bootId'] = async (host, signal) => {
    const entry = this.entry(host);
    const answer = await this.run(host, entry.bootIdCommand, this.deadlines.shortMs, signal);
    // Nothing was heard until the caller stopped listening: silence, as far as anybody can say.
    if (answer.kind === 'not-run' && signal.aborted) return { says: 'silent', detail: answer.detail };
    if (answer.kind === 'silent' || answer.kind === 'refused')
      return { says: answer.kind, detail: answer.detail };
    // It ran and told nothing (a host whose root disk is gone, for one): somebody's kernel answered, and that is a sign. As an error it
    // would be asked again for ever, and nobody would judge the host.
    if (answer.kind === 'ran' && answer.code !== 0)
      return { says: 'refused', detail: `exit code ${answer.code}: ${answer.stderr.trim().slice(0, 300)}` };
    const bootId = this.output(host, answer).trim();
    if (!bootIdPattern.test(bootId))
      return { says: 'refused', detail: `it gave "${bootId.slice(0, 80)}" for a boot id` };
    return { says: 'answers', bootId };
  };

  reaches: HostCommandsPort['reaches'] = async (via, { address, port }, signal) => {
    let answer: HostAnswer;
    try {
      answer = await this.script(via, reachScript, [address, String(port)], this.deadlines.shortMs, signal);
    } catch (error) {
      // Its bulkhead is full: it cannot be asked now, which says nothing of the other one.
      if (!(error instanceof DriverFault)) throw error;
      return 'not-known';
    }
    if (answer.kind !== 'ran') return 'not-known';
    return reachAnswers[answer.code] ?? 'not-known';
  };

  claim: HostCommandsPort['claim'] = async (host, owner, silentMsMax, signal) => {
    const { ownerFile } = this.entry(host);
    if (ownerFile === undefined) return { says: 'not-known', detail: 'its config names no ownerFile' };
    const args = claimArguments(ownerFile, owner, silentMsMax);
    try {
      const answer = await this.script(host, claimScript, args, this.deadlines.shortMs, signal);
      const printed = this.output(host, answer);
      return claimFrom(printed) ?? { says: 'not-known', detail: `it gave "${printed.slice(0, 80)}"` };
    } catch (error) {
      if (!(error instanceof DriverFault)) throw error;
      return { says: 'not-known', detail: error.message };
    }
  };

  inspectDisks: HostCommandsPort['inspectDisks'] = async (host, disks, signal) => {
    const paths = pathsToLookAt(disks);
    if (paths.length === 0) return sightsFrom(disks, paths, '', 0);
    const answer = await this.script(host, diskScript, paths, this.deadlines.disksMs, signal);
    // Cut off at the deadline: what was printed until then is true, and what is missing hung. Nothing at all is a silent host.
    const printed =
      answer.kind === 'silent' && answer.partial !== '' ? answer.partial : this.output(host, answer);
    return sightsFrom(disks, paths, printed, this.deadlines.disksMs);
  };

  markHealth: HostCommandsPort['markHealth'] = async (host, shape, signal) => {
    if (shape.consolePath === undefined) return { consoleBytes: 0 };
    const answer = await this.script(host, markScript, [shape.consolePath], this.deadlines.shortMs, signal);
    const mark = markFrom(this.output(host, answer));
    if (mark !== undefined) return mark;
    throw new DriverFault('HOST_COMMAND_FAILED', {
      host,
      detail: `the size of ${shape.consolePath} was not understood`,
    });
  };

  isHealthy: HostCommandsPort['isHealthy'] = async (host, vm, check, mark, signal) => {
    switch (check.kind) {
      case 'console':
        return (
          vm.shape.consolePath !== undefined &&
          this.printed(host, vm.shape.consolePath, check.pattern, mark, signal)
        );
      case 'tcp':
        return accepts(check.address, check.port, signal);
      case 'guest-agent':
        return this.options.pingGuestAgent?.(host, vm.vmId, signal) ?? false;
      case 'running':
        throw new InvariantViolation(
          'a "running" check is answered by the hypervisor, not by a host command',
        );
    }
  };

  runScript: RunOnHost = async (host, script, args, deadlineMs, signal) => {
    const answer = await this.script(host, script, args, deadlineMs, signal);
    if (answer.kind === 'ran') return answer;
    throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: `${answer.kind}: ${answer.detail}` });
  };

  async close(): Promise<void> {
    if (this.options.gateway === undefined) await this.gateway.close();
    this.doors.close();
  }

  private async printed(
    host: HostId,
    path: string,
    pattern: string,
    mark: HealthMark,
    signal: AbortSignal,
  ): Promise<boolean> {
    const look = await this.looks.look(host, path, mark, signal);
    if (look.kind === 'begun-anew') return this.printed(host, path, pattern, { consoleBytes: 0 }, signal);
    return new RegExp(pattern, 'm').test(look.text);
  }

  private entry(host: HostId): Entry {
    const found = this.hosts.get(host);
    if (found === undefined)
      throw new DriverFault('UNKNOWN_HOST', { host, known: [...this.hosts.keys()].join(', ') });
    return found;
  }

  private run(
    host: HostId,
    argv: readonly string[],
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<HostAnswer> {
    const entry = this.entry(host);
    const chosen = deadlineMs > longMs ? entry.longLane : entry.lane;
    return chosen.run(() => this.doors.run(entry.transport, argv, deadlineMs, signal), signal);
  }

  private script(
    host: HostId,
    script: string,
    args: readonly string[],
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<HostAnswer> {
    return this.run(host, ['sh', '-c', script, 'sh', ...args], deadlineMs, signal);
  }

  /** What a command printed that ran to a good end; everything else is a fault. */
  private output(host: HostId, answer: HostAnswer): string {
    if (answer.kind === 'ran' && answer.code === 0) return answer.stdout;
    const detail =
      answer.kind === 'ran'
        ? `exit code ${answer.code}: ${answer.stderr.trim().slice(0, 300)}`
        : `${answer.kind}: ${answer.detail}`;
    throw new DriverFault('HOST_COMMAND_FAILED', { host, detail });
  }
}

/** From the worker, as a client of the guest would: what the host thinks of it does not matter. */
function accepts(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (accepted: boolean): void => {
      socket.destroy();
      signal.removeEventListener('abort', giveUp);
      resolve(accepted);
    };
    const giveUp = (): void => done(false);
    signal.addEventListener('abort', giveUp, { once: true });
    socket.setTimeout(tcpConnectMs, () => done(false));
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}
