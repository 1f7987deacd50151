/**
 * One host's libvirt as this process sees it. Reads of the whole host are shared: whoever asks while a read has not begun yet is served
 * by it, so that a storm of starts costs one read at a time and no answer is ever older than its question.
 */
import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  circuitBreaker,
  ConsecutiveBreaker,
  handleType,
} from 'cockatiel';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import type { ObservedVm, Timestamp } from '../../domain/observations';
import { Lane } from '../child-processes/lane';
import { manyMayListen } from '../child-processes/signals';
import type { Virsh, VirshAnswer } from './virsh';
import type { VirshSession } from './virsh-session';
import {
  errorSentence,
  isRefusedLogin,
  parseDomstats,
  parseUuidNames,
  parseUuids,
  stateOf,
} from './virsh-text';

export interface Deadlines {
  /** All states. 45 ms at the 95th percentile for 100 VMs; the rest is for a loaded host. */
  readonly readMs: number;
  /** The plain list when statistics hang. */
  readonly listMs: number;
  /** Definitions, besides 20 ms for each VM asked for. */
  readonly definitionsMs: number;
  readonly defineMs: number;
  /** A start takes 0.4 s of CPU; storage that is slow to open takes the rest. */
  readonly startMs: number;
}

export interface Concurrency {
  readonly reads: number;
  /** Starts per host. 2 to 4 on two cores is enough: each costs 0.4 s of CPU. */
  readonly acts: number;
  readonly queueMax: number;
  readonly waitMsMax: number;
}

export interface HostSnapshot {
  /** When the read began: nothing in it is older. */
  readonly observedAt: Timestamp;
  readonly vms: readonly ObservedVm[];
}

/** Silences in a row before the host is left alone for a while. It is then "unreachable", never "down". */
const breakerSilences = 3;
const breakerPauseMs = 5_000;
/** For as long a host's whole state may stand for a look at one of its VMs. */
const momentMs = 2_000;
/** A VM that comes or goes between two lists of one read makes them disagree. */
const readTriesMax = 3;

class Silence extends Error {
  constructor(readonly answer: VirshAnswer) {
    super('silent');
  }
}

interface SharedRead {
  readonly result: Promise<HostSnapshot>;
  readonly giveUp: AbortController;
  begun: boolean;
  askers: number;
}

export interface CallOptions {
  readonly deadlineMs: number;
  readonly readOnly?: boolean;
}

export class HostConnection {
  /** One after another: side by side each would serve fewer askers, and cost as much. */
  private readonly snapshots: Lane;
  private readonly reads: Lane;
  private readonly acts: Lane;
  private readonly breaker: CircuitBreakerPolicy = circuitBreaker(handleType(Silence), {
    halfOpenAfter: breakerPauseMs,
    breaker: new ConsecutiveBreaker(breakerSilences),
  });
  private shared: SharedRead | undefined;
  private last: HostSnapshot | undefined;

  constructor(
    readonly host: HostId,
    readonly uri: string,
    private readonly virsh: Virsh,
    readonly deadlines: Deadlines,
    concurrency: Concurrency,
    /** Answers reads of the whole host while all is well; every one has a child of its own when left out. */
    private readonly session?: VirshSession,
  ) {
    const { queueMax, waitMsMax } = concurrency;
    this.snapshots = new Lane(host, { atOnce: 1, queueMax, waitMsMax });
    this.reads = new Lane(host, { atOnce: concurrency.reads, queueMax, waitMsMax });
    this.acts = new Lane(host, { atOnce: concurrency.acts, queueMax, waitMsMax });
  }

  read(commands: readonly string[], options: CallOptions, signal: AbortSignal): Promise<VirshAnswer> {
    return this.reads.run(() => this.guarded(commands, options, signal), signal);
  }

  /** `check` is asked once the act's turn has come, right before it is sent; what it returns is the answer instead of acting. */
  act<T>(
    check: () => T | undefined,
    commands: readonly string[],
    options: CallOptions,
    signal: AbortSignal,
  ): Promise<VirshAnswer | { readonly kind: 'held-back'; readonly why: T }> {
    return this.acts.run(async () => {
      const why = check();
      return why === undefined ? this.guarded(commands, options, signal) : { kind: 'held-back', why };
    }, signal);
  }

  /** Past the breaker and the queue: a look at a silent host must be a real one. */
  look(commands: readonly string[], options: CallOptions, signal: AbortSignal): Promise<VirshAnswer> {
    return this.virsh.call({ uri: this.uri, commands, ...options }, signal);
  }

  /** Everything the host knows, read in one go. Throws `HYPERVISOR_UNREACHABLE`, `HYPERVISOR_BUSY` or `LIST_INCOMPLETE`. */
  async snapshot(signal: AbortSignal): Promise<HostSnapshot> {
    if (signal.aborted) throw this.givenUp(signal);
    manyMayListen(signal);
    let shared = this.shared;
    if (shared === undefined || shared.begun) shared = this.shared = this.shareRead();
    shared.askers += 1;
    const mine = shared;
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        mine.askers -= 1;
        if (mine.askers === 0) {
          mine.giveUp.abort(signal.reason);
          if (this.shared === mine) this.shared = undefined;
        }
        reject(this.givenUp(signal));
      };
      signal.addEventListener('abort', aborted, { once: true });
      mine.result.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
    });
  }

  /** The last one, if it is the one that was begun then, and that a moment ago only. */
  lastSnapshot(observedAt: Timestamp | undefined): HostSnapshot | undefined {
    const { last } = this;
    if (last === undefined || last.observedAt !== observedAt) return undefined;
    return Date.now() - Date.parse(last.observedAt) <= momentMs ? last : undefined;
  }

  private shareRead(): SharedRead {
    const giveUp = new AbortController();
    const shared: SharedRead = {
      giveUp,
      begun: false,
      askers: 0,
      result: Promise.resolve().then(() =>
        this.snapshots.run(() => {
          shared.begun = true;
          return this.readSnapshot(giveUp.signal);
        }, giveUp.signal),
      ),
    };
    // Also when it never began: the next asker must not be served by a read that has failed already.
    const forget = (): void => {
      if (this.shared === shared) this.shared = undefined;
    };
    shared.result.then(forget, forget);
    return shared;
  }

  private async readSnapshot(signal: AbortSignal): Promise<HostSnapshot> {
    let disagreement = '';
    for (let tries = 0; tries < readTriesMax; tries++) {
      const observedAt = new Date().toISOString();
      const answer = await this.everything(signal);
      if (answer.kind === 'silent') throw await this.whySilent(signal);
      if (answer.kind !== 'answered') throw this.unreachable(answer, signal);
      if (answer.errors !== '')
        throw new DriverFault('LIST_INCOMPLETE', { host: this.host, detail: errorSentence(answer.errors) });
      const read = joinLists(answer.sections);
      if (!('disagreement' in read)) return (this.last = { observedAt, ...read });
      disagreement = read.disagreement;
    }
    throw new DriverFault('LIST_INCOMPLETE', {
      host: this.host,
      detail: `its lists disagreed ${readTriesMax} times in a row: ${disagreement}`,
    });
  }

  /** By the virsh that stays, where it answers well and at once; by one of its own in every other case. */
  private async everything(signal: AbortSignal): Promise<VirshAnswer> {
    const sections = await this.session?.ask(snapshotCommands, signal);
    if (sections !== undefined) return { kind: 'answered', sections, errors: '' };
    const options = { deadlineMs: this.deadlines.readMs, readOnly: true };
    const answer = await this.guarded(snapshotCommands, options, signal);
    if (answer.kind === 'answered' && answer.errors === '') this.session?.begin();
    return answer;
  }

  /** Statistics were not answered. A daemon whose workers hang still answers the plain list: degraded, not dead. */
  private async whySilent(signal: AbortSignal): Promise<DriverFault> {
    const plain = await this.look(
      ['list --all --uuid --name', 'list --uuid'],
      { deadlineMs: this.deadlines.listMs, readOnly: true },
      signal,
    );
    if (plain.kind !== 'answered' || plain.errors !== '')
      return new DriverFault('HYPERVISOR_UNREACHABLE', {
        host: this.host,
        detail: `no answer in ${this.deadlines.readMs} ms`,
      });
    const known = parseUuidNames(plain.sections[0] ?? '').length;
    const active = parseUuids(plain.sections[1] ?? '').size;
    return new DriverFault('LIST_INCOMPLETE', {
      host: this.host,
      detail: `its daemon is hung: it names ${known} VMs, ${active} of them active, and does not tell their states`,
    });
  }

  /** The fault for an answer that is none. */
  unreachable(answer: Exclude<VirshAnswer, { kind: 'answered' }>, signal: AbortSignal): DriverFault {
    if (answer.kind === 'cancelled') return this.givenUp(signal);
    const facts = { host: this.host, detail: answer.detail };
    const shut = answer.kind === 'refused' && isRefusedLogin(answer.detail);
    const cause = shut ? new DriverFault('HYPERVISOR_LOGIN_REFUSED', { ...facts, uri: this.uri }) : undefined;
    return new DriverFault('HYPERVISOR_UNREACHABLE', facts, { cause });
  }

  private givenUp(signal: AbortSignal): DriverFault {
    const facts = { host: this.host, detail: 'its caller gave up before it answered' };
    return new DriverFault('HYPERVISOR_UNREACHABLE', facts, { cause: signal.reason });
  }

  private async guarded(
    commands: readonly string[],
    options: CallOptions,
    signal: AbortSignal,
  ): Promise<VirshAnswer> {
    try {
      return await this.breaker.execute(async () => {
        const answer = await this.virsh.call({ uri: this.uri, commands, ...options }, signal);
        if (answer.kind === 'silent' || answer.kind === 'nobody') throw new Silence(answer);
        return answer;
      });
    } catch (error) {
      if (error instanceof Silence) return error.answer;
      if (error instanceof BrokenCircuitError)
        return {
          kind: 'not-sent',
          detail: `it was silent ${breakerSilences} times in a row and is asked again every ${breakerPauseMs / 1000} s`,
        };
      throw error;
    }
  }
}

const snapshotCommands = [
  'domstats --state --raw',
  'list --all --uuid --name',
  'list --all --persistent --uuid',
  'list --all --autostart --uuid',
  'list --all --with-managed-save --uuid',
];

function joinLists(sections: readonly string[]): { vms: ObservedVm[] } | { disagreement: string } {
  const [stats = '', names = '', persistent = '', autostart = '', saved = ''] = sections;
  const states = parseDomstats(stats);
  const listed = parseUuidNames(names);
  const persistentIds = parseUuids(persistent);
  const autostartIds = parseUuids(autostart);
  const savedIds = parseUuids(saved);
  const onlyListed = listed.filter((v) => !states.has(v.name)).map((v) => v.name);
  const listedNames = new Set(listed.map((v) => v.name));
  const onlyStated = [...states.keys()].filter((n) => !listedNames.has(n));
  const odd = [...onlyListed, ...onlyStated];
  if (odd.length > 0) return { disagreement: `${odd.join(', ')} stands in one of them only` };
  return {
    vms: listed.map((v) => ({
      vmId: v.id,
      name: v.name,
      ...stateOf(states.get(v.name) ?? { state: 0, reason: 0 }),
      persistent: persistentIds.has(v.id),
      autostart: autostartIds.has(v.id),
      savedImage: savedIds.has(v.id),
    })),
  };
}
