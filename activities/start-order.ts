/**
 * Orders a start, once it is written down. Within a workflow task nobody can be heard or answered, so that an order which takes longer than a
 * moment is waited for by an activity of its own: on the same worker it finds the order still under way, on another one it reads the target.
 */
import { Context } from '@temporalio/activity';
import { fault } from '../domain/faults';
import type { HostId, VmId } from '../domain/ids';
import type { VmRecord } from '../domain/records';
import { mustBeArmed } from './armed';
import { currentDefinition } from './definitions';
import { type Environment, pause, signal, tell } from './environment';
import type { ActOutcome } from './ports';
import { startSentence } from './orders-left';
import { contradicted, type Sent, type Started, type StartOrder, withoutPermit } from './start-outcome';
import { permitFor } from './start-permit';

/** A start takes 0.4 s of CPU; below the heartbeat of a workflow task (4 s). */
const answerWithinTaskMs = 2_000;

/** By the order's key. An entry goes once its outcome has been taken, so a worker that is told to end leaves none that matters. */
export type OrdersUnderWay = Map<string, Promise<ActOutcome>>;

export async function orderStart(env: Environment, vm: VmRecord, input: StartOrder): Promise<Started | Sent> {
  await mustBeArmed(env, vm.clusterId);
  const definition = await currentDefinition(env, vm);
  const permit = await permitFor(env, vm, input.target, input);
  if ('running' in permit)
    return permit.running === input.target
      ? { kind: 'running' }
      : contradicted(vm, `it runs on ${permit.running} as well as being asked for on ${input.target}`);
  if ('refused' in permit) return withoutPermit(env, vm, input, permit.refused);
  const toldBefore = await tellOrder(env, vm, input, permit.permit);
  const key = keyOf(input);
  const asked = { askedBefore: toldBefore || input.askedBefore, once: `${key}-${permit.permit.issuedAt}` };
  const order = env.hypervisor.start(permit.permit, definition, vm.persistent, signal());
  if (input.oneLook !== true) return { problem: problemOf(await order), ...asked };
  env.orders.set(key, order);
  // Whoever takes it hears how it went; until then nobody else does.
  order.catch(() => undefined);
  const outcome = await Promise.race([order, pause(answerWithinTaskMs)]);
  if (outcome === undefined) return { problem: 'not-answered-yet', ...asked };
  env.orders.delete(key);
  return { problem: problemOf(outcome), ...asked };
}

/** What became of an order that was left under way; not known on another worker than the one that sent it. */
export async function answerOf(env: Environment, vm: VmRecord, input: StartOrder, sent: Sent): Promise<Sent> {
  if (sent.problem !== 'not-answered-yet') return sent;
  const key = keyOf(input);
  const order = env.orders.get(key);
  const outcome = await Promise.race([order, Context.current().cancelled]);
  env.orders.delete(key);
  if (outcome !== undefined) return { ...sent, problem: problemOf(outcome) };
  const unknown = fault('CALL_OUTCOME_UNKNOWN', { call: 'start', host: input.target, vm: vm.name });
  return { ...sent, problem: { kind: 'unknown', fault: unknown }, askedBefore: true };
}

const problemOf = (outcome: ActOutcome) => (outcome.kind === 'ok' ? undefined : outcome);

const runId = (): string => Context.current().info.workflowExecution?.runId ?? '';

const keyOf = ({ vmId, target, order }: { vmId: VmId; target: HostId; order: number }): string =>
  `${vmId}-${target}-${runId()}-${order}`;

/**
 * True when this very order was written down before: by an attempt whose worker died within the workflow task, say, of which nothing else is
 * left, and which may have sent it. One line for each time that it is sent: a permit is good for one start.
 */
async function tellOrder(
  env: Environment,
  vm: VmRecord,
  input: StartOrder,
  permit: { readonly issuedAt: string },
): Promise<boolean> {
  const sentence = startSentence(vm, input.target);
  const facts = { permit };
  const key = `start-${keyOf(input)}`;
  const said = await tell(env, input.incidentId, key, 'act', sentence, facts);
  if (said === 'told') return false;
  await tell(env, input.incidentId, `${key}-${permit.issuedAt}`, 'act', sentence, facts);
  return true;
}
