/**
 * The fencing port on ClusterLabs fence agents: one child per call, options on its standard input (never in its arguments), killed with
 * its whole process group at a deadline, because some agents have none of their own (fence_redfish waits for ever on a frozen BMC).
 *
 * INVARIANTS:
 * - What `off` returns proves nothing; only `status` reads.
 * - One call at a time per device: BMCs have few sessions.
 * - The password is read when it is needed, and stands in no argument, log line or error.
 */
import type { FencingPort } from '../../activities/ports';
import { DriverFault, type FaultFacts } from '../../domain/faults';
import type { FenceDevice } from '../../domain/fleet';
import type { FenceDeviceId, HostId } from '../../domain/ids';
import { limits } from '../../domain/limits';
import type { PowerReading } from '../../domain/observations';
import { type ChildEnd, type ChildGateway, openChildGateway } from '../child-processes/gateway';
import { Lane } from '../child-processes/lane';
import { type AgentExit, errorLines, statusAnswer, troubleOf } from './agent-answer';
import { type AgentMetadata, agentMetadata, agentPath } from './agent-metadata';
import { type AgentOptions, optionProblems } from './check-options';

export interface FenceDeviceSetup {
  readonly id: FenceDeviceId;
  /** An agent on PATH or in the system's sbin folders, or its absolute path. */
  readonly agent: string;
  readonly options: AgentOptions;
  /** Resolves the reference at the time of the call, so that a corrected password counts at once. */
  readonly password?: () => string;
}

export interface FenceAgentsOptions {
  readonly devices: readonly FenceDeviceSetup[];
  /** Shared with other drivers when given, and then left open by `close`. */
  readonly gateway?: ChildGateway;
  readonly deadlines?: Partial<FenceDeadlines>;
}

export interface FenceDeadlines {
  /** A silent IPMI device takes its agent 20 s to report; below that its own words are lost. */
  readonly statusMs: number;
  /** `off`, the agent's own wait for it (`power_timeout`, 20 s by default) and its status calls. */
  readonly offMs: number;
}

export const fenceDeadlines: FenceDeadlines = { statusMs: 25_000, offMs: 60_000 };

export interface FenceAgents extends FencingPort {
  close(): Promise<void>;
}

export function createFenceAgents(options: FenceAgentsOptions): FenceAgents {
  return new Agents(options);
}

interface Device {
  readonly setup: FenceDeviceSetup;
  readonly turn: Lane;
}

type Run =
  | { readonly kind: 'exit'; readonly exit: AgentExit }
  /** `sent`: the agent was running, so that whatever it does may have been done. */
  | { readonly kind: 'no-answer'; readonly sent: boolean; readonly detail: string };

/** More callers than this waiting for one device means that something else is wrong. */
const turnQueueMax = 8;
const turnWaitMsMax = 180_000;

class Agents implements FenceAgents {
  private readonly gateway: ChildGateway;
  private readonly deadlines: FenceDeadlines;
  private readonly devices = new Map<FenceDeviceId, Device>();

  constructor(private readonly options: FenceAgentsOptions) {
    this.gateway = options.gateway ?? openChildGateway();
    this.deadlines = { ...fenceDeadlines, ...options.deadlines };
  }

  status(host: HostId, device: FenceDevice, signal: AbortSignal): Promise<PowerReading> {
    return this.inTurn(host, device, signal, (setup) => this.readStatus(host, setup, signal));
  }

  off(host: HostId, device: FenceDevice, signal: AbortSignal): Promise<void> {
    return this.inTurn(host, device, signal, async (setup) => {
      const facts = { host, device: setup.id };
      const run = await this.run(host, setup, 'off', this.deadlines.offMs, signal);
      if (run.kind === 'no-answer') {
        throw run.sent
          ? new DriverFault('FENCE_OUTCOME_UNKNOWN', { ...facts, detail: run.detail })
          : new DriverFault('FENCE_DEVICE_SILENT', { ...facts, detail: run.detail });
      }
      if (run.exit.code === 0) return;
      const trouble = troubleOf(run.exit);
      if (trouble.says === 'login-refused') throw loginRefused(facts, trouble.detail);
      // The agent gave up waiting, or lost its device half-way: only a reading can tell whether "off" was taken.
      const power = await this.powerAfterOff(host, setup, trouble.detail, signal);
      if (power === 'on') throw new DriverFault('FENCE_OFF_NOT_TAKEN', { ...facts, power });
    });
  }

  async close(): Promise<void> {
    if (this.options.gateway === undefined) await this.gateway.close();
  }

  private async powerAfterOff(
    host: HostId,
    setup: FenceDeviceSetup,
    offDetail: string,
    signal: AbortSignal,
  ): Promise<'on' | 'off'> {
    try {
      return (await this.readStatus(host, setup, signal)).power;
    } catch (error) {
      if (!(error instanceof DriverFault)) throw error;
      const detail = `${offDetail}; then ${error.fault.sentence}`;
      throw new DriverFault('FENCE_OUTCOME_UNKNOWN', { host, device: setup.id, detail }, { cause: error });
    }
  }

  private async readStatus(
    host: HostId,
    setup: FenceDeviceSetup,
    signal: AbortSignal,
  ): Promise<PowerReading> {
    const facts = { host, device: setup.id };
    // The reading is as old as its beginning.
    const observedAt = new Date().toISOString();
    const run = await this.run(host, setup, 'status', this.deadlines.statusMs, signal);
    if (run.kind === 'no-answer') {
      throw new DriverFault('FENCE_DEVICE_SILENT', { ...facts, detail: run.detail });
    }
    const answer = statusAnswer(run.exit);
    if (answer.says === 'login-refused') throw loginRefused(facts, answer.detail);
    if (answer.says === 'silent')
      throw new DriverFault('FENCE_DEVICE_SILENT', { ...facts, detail: answer.detail });
    return { hostId: host, deviceId: setup.id, agent: setup.agent, power: answer.says, observedAt };
  }

  private async inTurn<T>(
    host: HostId,
    { id }: FenceDevice,
    signal: AbortSignal,
    work: (setup: FenceDeviceSetup) => Promise<T>,
  ): Promise<T> {
    const device = this.device(host, id);
    try {
      return await device.turn.run(() => work(device.setup), signal);
    } catch (error) {
      if (!(error instanceof DriverFault) || error.fault.code !== 'HYPERVISOR_BUSY') throw error;
      const detail = signal.aborted ? 'its caller gave up before its turn' : 'too many calls wait for it';
      throw new DriverFault('FENCE_DEVICE_SILENT', { host, device: id, detail }, { cause: error.cause });
    }
  }

  private device(host: HostId, id: FenceDeviceId): Device {
    const known = this.devices.get(id);
    if (known !== undefined) return known;
    const setup = this.options.devices.find((d) => d.id === id);
    if (setup === undefined)
      throw new DriverFault('FENCE_DEVICE_SILENT', { host, device: id, detail: 'it is not in the config' });
    const turn = new Lane(host, { atOnce: 1, queueMax: turnQueueMax, waitMsMax: turnWaitMsMax });
    const device = { setup, turn };
    this.devices.set(id, device);
    return device;
  }

  private async run(
    host: HostId,
    setup: FenceDeviceSetup,
    action: 'status' | 'off',
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Run> {
    const unable = (detail: string): DriverFault =>
      new DriverFault('FENCE_DEVICE_SILENT', { host, device: setup.id, detail });
    const path = agentPath(setup.agent);
    if (path === undefined) throw unable(`the agent ${setup.agent} is not installed here`);
    let metadata: AgentMetadata;
    let password: string | undefined;
    try {
      metadata = await agentMetadata(path);
      password = setup.password?.();
    } catch (error) {
      throw unable(error instanceof Error ? error.message : String(error));
    }
    const problems = optionProblems(setup.agent, metadata, withPassword(setup.options, password, metadata));
    if (problems.length > 0) throw unable(`its options are wrong: ${problems.join('; ')}`);
    const end = await this.gateway.run(
      {
        command: path,
        args: [],
        stdin: stdinOf(metadata, setup.options, action, password),
        env: { PYTHONWARNINGS: 'ignore' },
        deadlineMs,
      },
      signal,
    );
    return runOf(end, deadlineMs, password);
  }
}

const loginRefused = (facts: FaultFacts, detail: string): DriverFault =>
  new DriverFault('FENCE_LOGIN_REFUSED', { ...facts, limit: String(limits.fenceLoginRefusalsMax), detail });

function runOf(end: ChildEnd, deadlineMs: number, password: string | undefined): Run {
  switch (end.ended) {
    case 'exit':
      return {
        kind: 'exit',
        exit: {
          code: end.code,
          stdout: without(password, end.stdout),
          stderr: without(password, end.stderr),
        },
      };
    case 'deadline': {
      const said = errorLines({
        code: -1,
        stdout: without(password, end.stdout),
        stderr: without(password, end.stderr),
      });
      const more = said === 'exit code -1' ? '' : `: ${said}`;
      return { kind: 'no-answer', sent: true, detail: `no answer in ${deadlineMs} ms${more}` };
    }
    case 'cancelled':
    case 'output-too-large':
      return { kind: 'no-answer', sent: true, detail: `the agent was ended (${end.ended})` };
    case 'lost':
      return { kind: 'no-answer', sent: true, detail: 'the gateway process died during the call' };
    case 'not-started':
      return { kind: 'no-answer', sent: false, detail: `the agent could not be started: ${end.why}` };
  }
}

/** Agents with verbosity on repeat parts of what they sent. */
const without = (secret: string | undefined, text: string): string =>
  secret === undefined || secret === '' ? text : text.replaceAll(secret, '***');

function withPassword(
  options: AgentOptions,
  password: string | undefined,
  metadata: AgentMetadata,
): AgentOptions {
  if (password === undefined) return options;
  return { ...options, [metadata.parameters.has('password') ? 'password' : 'passwd']: password };
}

/** Verbosity makes the agent print what the device said, without which a refused login looks like silence. */
function stdinOf(
  metadata: AgentMetadata,
  options: AgentOptions,
  action: string,
  password: string | undefined,
): string {
  const verbosity: AgentOptions = metadata.parameters.has('verbose_level')
    ? { verbose_level: 2 }
    : metadata.parameters.has('verbose')
      ? { verbose: 1 }
      : {};
  const all = { ...withPassword(options, password, metadata), ...verbosity, action };
  return Object.entries(all)
    .filter(([name, value]) => !isOffAnyway(metadata, name, value))
    .map(([name, value]) => `${name}=${stdinValue(value)}\n`)
    .join('');
}

/** Left out: agents ask whether a switch was named at all, so that `ssl_insecure=0` would switch the check of certificates off. */
function isOffAnyway({ parameters }: AgentMetadata, name: string, value: string | number | boolean): boolean {
  const parameter = parameters.get(name);
  return parameter?.type === 'boolean' && !parameter.onByDefault && /^(0|no|off|false)$/i.test(String(value));
}

/** Agents strip blanks around a line and quotes around a value; quoting keeps a value that begins or ends with one whole. */
function stdinValue(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  const text = String(value);
  return /^[\s"]|[\s"]$/.test(text) ? `"${text}"` : text;
}
