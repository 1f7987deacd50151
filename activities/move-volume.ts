/**
 * The activities of `migrateVolume`. Theory of operation: the intent is written down before the order is sent, and whoever finds an intent
 * looks for what it began instead of sending again. Where the disks are is only ever read; the record is switched from what was read.
 *
 * INVARIANTS:
 * - One order is sent at most once, unless its driver says that sending it again cannot begin it twice.
 * - No file is removed that any record or any definition on any host names.
 */
import { type Fault, fault } from '../domain/faults';
import type { FenceEvidence } from '../domain/evidence';
import { limits } from '../domain/limits';
import type { EvidenceId, HostId, IncidentId } from '../domain/ids';
import type { Timestamp } from '../domain/observations';
import type { TimelineEntry } from '../domain/records';
import {
  type BeforeImage,
  type Leftover,
  type MoveOrder,
  type MoveTask,
  type MoveVerdict,
  type TaskState,
  verdictSentence,
} from '../domain/volume-move';
import {
  declaredCluster,
  type Environment,
  lookEveryMs,
  nowIso,
  pause,
  recordedVm,
  signal,
  tell,
} from './environment';
import { mustBeArmed } from './armed';
import { faultOf } from './fault-boundary';
import { raise } from './incident';
import type { ActOutcome, MoveDirection, MoveKnown, Preflight, Submitted } from './ports';
import { whoNamesFile, whoNamesLeftovers } from './who-names';

export type { ActOutcome, MoveKnown, Preflight, Submitted };

interface OfMove {
  readonly before: BeforeImage;
  readonly incidentId: IncidentId;
}

/** Nobody answered: it says nothing of the move. */
export interface Silent {
  readonly kind: 'silent';
  readonly fault: Fault;
}

export type FoundMove =
  { readonly kind: 'found'; readonly task: MoveTask } | { readonly kind: 'none' } | Silent;

/** `lapsed`: proofs given that stand no more, because their host was seen to answer again. */
export type MoveReading = MoveVerdict & { readonly lapsed?: readonly EvidenceId[] };

/** `untouched`: refused before anything was done, the guest included: it is not to be woken. */
export type SwitchOutcome = ActOutcome & { readonly untouched?: true };

function silentOr(error: unknown): Silent {
  const known = faultOf(error);
  if (known?.class !== 'transient') throw error;
  return { kind: 'silent', fault: known };
}

/** How long an order whose answer was lost is looked for. */
const findMsMax = 5_000;

export const moveVolumeActivities = (env: Environment) => ({
  ...lookingAtMoves(env),
  ...actingOnMoves(env),
});

const lookingAtMoves = (env: Environment) => ({
  /** Reads all that must hold; what does not answer for `patienceMs` refuses the order, because nothing was begun yet. */
  async preflightMove(input: {
    order: MoveOrder;
    incidentId: IncidentId | undefined;
    patienceMs: number;
  }): Promise<Preflight> {
    const said = await patiently(input.patienceMs, () => preflight(env, input.order));
    if (said.kind === 'refused') return { ...said, faults: await withFiles(env, input.order, said.faults) };
    if (input.incidentId === undefined) return said;
    const sentence = `${said.before.name}: read before anything is done: ${said.before.disks
      .map((d) => `${d.disk} at ${d.at.path}`)
      .join(', ')}`;
    await tell(env, input.incidentId, `before-${input.order.attempt}`, 'observation', sentence, {
      before: said.before,
    });
    return said;
  },

  /**
   * What this attempt has under way, for whoever does not know its task: the worker that sent it may have died with the answer. Without an
   * intent nothing was sent, and what is under way is somebody else's.
   */
  async findMoveTask({
    before,
    incidentId,
    direction,
  }: OfMove & { direction: MoveDirection }): Promise<FoundMove> {
    try {
      const intent = await intentOf(env, incidentId, intentSentence(before, direction, 0));
      if (intent === undefined) return { kind: 'none' };
      const found = await findMove(env, before, direction, fromIntent(intent.at, direction, 0), 0);
      return found.kind === 'accepted' ? { kind: 'found', task: found.task } : { kind: 'none' };
    } catch (error) {
      return silentOr(error);
    }
  },

  /** One round of following; returns when something is new, or after `roundMs`. Nobody answering is an answer here: the caller counts how long. */
  async followMove(input: OfMove & { task: MoveTask; roundMs: number }): Promise<TaskState | Silent> {
    try {
      return await env.volumeMoves.follow(input.before, input.task, input.roundMs, signal());
    } catch (error) {
      return silentOr(error);
    }
  },

  /**
   * Reads where the disks are. Never fails: what cannot be read is `UNKNOWN`. Hosts are not asked while a proof that they are off stands in the
   * inventory; a proof given that stands no more is named, and counts for nothing.
   */
  async readMove({ before, known }: OfMove & { known: MoveKnown }): Promise<MoveReading> {
    let lapsed: { lapsed?: EvidenceId[] } = {};
    try {
      const proofs = await standingProofs(env, [before.order.hostId, ...known.proofs.map((p) => p.hostId)]);
      const standing = new Set(proofs.map((p) => p.hostId));
      const gone = known.proofs.filter((p) => !standing.has(p.hostId)).map((p) => p.id);
      if (gone.length > 0) lapsed = { lapsed: gone };
      return { ...(await env.volumeMoves.classify(before, { ...known, proofs }, signal())), ...lapsed };
    } catch (error) {
      const why = faultOf(error);
      if (why === undefined) throw error;
      return { kind: 'UNKNOWN', fault: why, ...lapsed };
    }
  },
});

const actingOnMoves = (env: Environment) => ({
  /** `again` counts earlier orders of the same that are known to be over: without it, what one of them began is found, and nothing is sent. */
  async submitMove({
    before,
    incidentId,
    direction,
    again = 0,
  }: OfMove & { direction: MoveDirection; again?: number }): Promise<Submitted> {
    const sentence = intentSentence(before, direction, again);
    const earlier = await intentOf(env, incidentId, sentence);
    if (earlier !== undefined) {
      const found = await findMove(env, before, direction, fromIntent(earlier.at, direction, again), 0);
      if (found.kind === 'accepted' ? found.unfinished !== true : found.repeatable !== true) return found;
    } else {
      await armed(env, before);
      const key = `intent-${before.order.attempt}-${direction}${again === 0 ? '' : `-${again}`}`;
      await tell(env, incidentId, key, 'act', sentence);
    }
    const sentAt = earlier?.at ?? nowIso();
    const said = await env.volumeMoves.submit(before, direction, signal());
    if (said.kind !== 'unknown') return said;
    const found = await findMove(env, before, direction, fromIntent(sentAt, direction, again), findMsMax);
    return found.kind === 'unknown' ? said : found;
  },

  async cancelMove({
    before,
    incidentId,
    task,
    why,
  }: OfMove & { task: MoveTask; why: string }): Promise<ActOutcome> {
    const outcome = await env.volumeMoves.cancel(before, task, signal());
    const said =
      outcome.kind === 'ok' ? 'asked to stop' : `could not be asked to stop: ${outcome.fault.sentence}`;
    await tell(
      env,
      incidentId,
      `cancel-${task.id}-${outcome.kind}`,
      'act',
      `${before.name}: the move was ${said} (${why})`,
    );
    return outcome;
  },

  /** A guest that stands still before the first order to switch was made so by somebody else, who alone lets it go on. */
  async switchMove({ before, incidentId, task }: OfMove & { task: MoveTask }): Promise<SwitchOutcome> {
    await armed(env, before);
    const sentence = `${before.name}: switch to the copy (${before.order.attempt})`;
    if (before.running && (await intentOf(env, incidentId, sentence)) === undefined) {
      const why = await whyNotToSwitch(env, before);
      if (why !== undefined) return why;
    }
    await tell(env, incidentId, `switch-${before.order.attempt}-${task.id}`, 'act', sentence);
    return env.volumeMoves.switchOver(before, task, signal());
  },

  /** The record follows what was read, by compare-and-set; nothing to do when it says so already. */
  async recordMove({ before, incidentId, verdict }: OfMove & { verdict: MoveVerdict }): Promise<void> {
    const { vmId } = before.order;
    if (!('disks' in verdict) || verdict.vm === undefined || vmId === undefined) return;
    const { hostId: readFrom, text, shape } = verdict.vm;
    for (;;) {
      const vm = await recordedVm(env, vmId);
      const now = { text, disks: shape.disks, readFrom, readAt: nowIso() };
      try {
        await env.inventory.redefineVm(vmId, vm.version, now);
        break;
      } catch (error) {
        if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
      }
    }
    const key = `recorded-${before.order.attempt}-${verdict.kind}`;
    await tell(env, incidentId, key, 'vm', `${before.name}: recorded as ${verdictSentence(verdict)}`, {
      disks: verdict.disks,
    });
  },

  letGoAfterMove: ({ before }: OfMove): Promise<ActOutcome> => env.volumeMoves.letGo(before, signal()),

  /** Removes what the move left, once it is certain that nobody names it. */
  async removeAfterMove({
    before,
    incidentId,
    leftovers,
  }: OfMove & { leftovers: readonly Leftover[] }): Promise<ActOutcome> {
    if (leftovers.length === 0) return { kind: 'ok' };
    await armed(env, before);
    const named = await whoNamesLeftovers(env, before, leftovers);
    if (named !== undefined) return named;
    const outcome = await env.volumeMoves.remove(before, leftovers, signal());
    const paths = leftovers.map((l) => `${l.path} (${l.what})`).join(', ');
    if (outcome.kind === 'ok')
      await tell(
        env,
        incidentId,
        `removed-${before.order.attempt}-${paths}`,
        'act',
        `${before.name}: removed ${paths}`,
      );
    return outcome;
  },

  /** A file that stays, or a VM that is gone: said once, to people. */
  async alertOfMove(input: {
    incidentId: IncidentId;
    key: string;
    severity: 'warning' | 'critical';
    fault: Fault;
  }): Promise<void> {
    const { incidentId, key, severity, fault: why } = input;
    await tell(env, incidentId, `alert-${key}`, 'phase', why.sentence, { fault: why });
    await raise(env, incidentId, { key, severity, sentence: why.sentence, nextCommand: why.next });
  },
});

/** A disk that belongs to no VM is moved only when everybody who could name it has said that he does not. */
async function preflight(env: Environment, order: MoveOrder): Promise<Preflight> {
  const { file } = order;
  const who = order.vmId !== undefined || file === undefined ? undefined : await whoNamesFile(env, file);
  if (who === undefined) return env.volumeMoves.preflight(order, signal());
  // Whatever else is in its way follows from that.
  const detail = `${who}; a disk of a VM moves with vmedic vm migrate-volume`;
  return {
    kind: 'refused',
    faults: [fault('DISK_NOT_MOVABLE', { vm: 'no VM', disk: file ?? '', detail })],
  };
}

/** Pauses here while VMedic is disarmed. A guest that stands still is let go all the same. */
const armed = (env: Environment, { order }: BeforeImage): Promise<void> =>
  mustBeArmed(env, declaredCluster(env, order.hostId).id);

async function whyNotToSwitch(env: Environment, before: BeforeImage): Promise<SwitchOutcome | undefined> {
  const { vmId, hostId } = before.order;
  try {
    const { vms } = await env.hypervisor.list(hostId, signal());
    const seen = vms.find((v) => v.vmId === vmId);
    if (seen?.state !== 'paused') return undefined;
    const detail = `it stands still (${seen.reason}), and not by this move: let it go on or shut it off first`;
    return { kind: 'refused', fault: fault('MOVE_REFUSED', { vm: before.name, detail }), untouched: true };
  } catch (error) {
    const why = faultOf(error);
    if (why === undefined) throw error;
    return { kind: 'unreachable', fault: why, untouched: true };
  }
}

/** Of a VM that is in no inventory only its record knows the files. */
async function withFiles(env: Environment, { vmId }: MoveOrder, faults: readonly Fault[]): Promise<Fault[]> {
  const record = vmId === undefined ? undefined : await env.inventory.vm(vmId);
  if (record === undefined) return [...faults];
  const files = record.shape.disks.map((d) => d.path).join(', ');
  return faults.map((f) =>
    f.code === 'VM_NOT_IN_INVENTORY'
      ? fault(f.code, {
          ...f.facts,
          vm: record.name,
          detail: `${f.facts['detail'] ?? ''}; files named last: ${files}`,
        })
      : f,
  );
}

/** `again`: how often the same was ordered before, and came to nothing; each is an order of its own. */
const intentSentence = (before: BeforeImage, direction: MoveDirection, again: number): string =>
  `${before.name}: move ${direction === 'there' ? '' : 'back '}${before.order.disks
    .map((d) => `${d.disk} to ${d.to}`)
    .join(', ')} (${before.order.attempt}${again === 0 ? '' : `, try ${again + 1}`})`;

async function patiently<T>(
  patienceMs: number,
  ask: () => Promise<T>,
): Promise<T | { kind: 'refused'; faults: Fault[] }> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const known = faultOf(error);
      if (known === undefined) throw error;
      if (known.class !== 'transient' || Date.now() >= deadline) return { kind: 'refused', faults: [known] };
    }
    await pause(lookEveryMs);
  }
}

type Looked =
  | { readonly kind: 'accepted'; readonly task: MoveTask; readonly unfinished?: boolean }
  | { readonly kind: 'unknown'; readonly fault: Fault; readonly repeatable?: true };

/**
 * What an order that may have been sent has begun; looked for until `waitMs` are over. Somebody else's work on the VM says nothing of ours, which
 * may begin when that is over. What was under way before the intent must not be taken for ours.
 */
async function findMove(
  env: Environment,
  before: BeforeImage,
  direction: MoveDirection,
  since: Timestamp,
  waitMs: number,
): Promise<Looked> {
  const deadline = Date.now() + waitMs;
  const detail = 'the order may have been sent, and nothing is known of it';
  const lost = fault('MOVE_NOT_KNOWN', { vm: before.name, detail });
  for (;;) {
    const found = await env.volumeMoves.find(before, direction, since, signal());
    if (found.kind === 'found')
      return { kind: 'accepted', task: found.task, ...(found.unfinished === true && { unfinished: true }) };
    if (found.kind === 'nothing' && found.repeatable)
      return { kind: 'unknown', fault: lost, repeatable: true };
    if (Date.now() >= deadline)
      return { kind: 'unknown', fault: found.kind === 'foreign' ? found.fault : lost };
    await pause(lookEveryMs);
  }
}

/**
 * Another worker may have written the intent down, by a clock of its own. That is allowed for where no earlier order of this run can be met: the
 * first on the way there. After any other only as far as the driver does, or what came before would be taken for it.
 */
const fromIntent = (at: Timestamp, direction: MoveDirection, again: number): Timestamp =>
  direction === 'there' && again === 0 ? new Date(Date.parse(at) - limits.clockSkewMsMax).toISOString() : at;

async function standingProofs(env: Environment, hosts: readonly HostId[]): Promise<FenceEvidence[]> {
  const proofs = await Promise.all([...new Set(hosts)].map((h) => env.inventory.evidenceFor(h)));
  return proofs.flatMap((p) => p ?? []);
}

/** The order as it was written down before it was sent. */
const intentOf = async (
  env: Environment,
  incidentId: IncidentId,
  sentence: string,
): Promise<TimelineEntry | undefined> =>
  (await env.inventory.timeline(incidentId)).find((e) => e.kind === 'act' && e.sentence === sentence);
