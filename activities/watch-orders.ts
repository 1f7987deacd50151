/** What the watch asks of the front door, and what it tells people when it may only observe. */
import type { EffectiveMode } from '../domain/armed';
import type { HostId } from '../domain/ids';
import type { VmRecord } from '../domain/records';
import { raise } from './incident';
import type { RecoveryAnswer } from './ports';
import type { WatchedCluster } from './watched-cluster';

export const observedHost = (host: HostId): string => `observed:host:${host}`;
export const observedVm = (vm: VmRecord): string => `observed:vm:${vm.vmId}:${vm.hostId}`;

/** What was asked for is asked for again after so long: a run that was ended from outside must not be the last word. */
const againAfterMs = 60_000;
/** While it may only observe: the mode may change at any moment. */
const againAfterObservedMs = 15_000;

/** When to ask again. */
const againAt = ({ kind }: RecoveryAnswer): number => {
  if (kind === 'busy') return 0;
  return Date.now() + (kind === 'under-way' || kind === 'over' ? againAfterMs : againAfterObservedMs);
};

/** @returns when to ask again; 0 for the next round, because other work holds the host. */
export async function askForHost(
  watch: WatchedCluster,
  host: HostId,
  reason: string,
  occasion: string,
): Promise<number> {
  if (watch.supervision === undefined) return 0;
  const effective = await watch.mode();
  const order = { reason, mode: effective.mode, occasion };
  const answer = await watch.supervision.recoveries.recoverHost(host, order);
  const command = `vmedic host recover ${host} --reason "..."`;
  await tellObserved(watch, host, { key: observedHost(host), reason, effective, command }, answer);
  return againAt(answer);
}

export async function askForVm(watch: WatchedCluster, vm: VmRecord, reason: string): Promise<number> {
  if (watch.supervision === undefined) return 0;
  // One host's look may ask for many VMs, one after the other.
  watch.memory(vm.hostId).progressMs = Date.now();
  const effective = await watch.mode();
  const { vmGraceMs: graceMs } = watch.cluster.policy.watch;
  const occasion = `since-${Date.parse(vm.observed.at)}`;
  const order = { reason, mode: effective.mode, occasion, graceMs };
  const answer = await watch.supervision.recoveries.restartMissingVm(vm.vmId, order);
  const command = `vmedic vm restart ${vm.name} --reason "..."`;
  await tellObserved(watch, vm.hostId, { key: observedVm(vm), reason, effective, command }, answer);
  return againAt(answer);
}

interface Observed {
  readonly key: string;
  readonly reason: string;
  readonly effective: EffectiveMode;
  readonly command: string;
}

async function tellObserved(
  watch: WatchedCluster,
  host: HostId,
  { key, reason, effective: { why, insteadOfUs }, command }: Observed,
  answer: RecoveryAnswer,
): Promise<void> {
  if (answer.kind !== 'rehearsed') return;
  // Given here it would act, with locks that the other one does not know: two recoveries of one host.
  const nextCommand =
    insteadOfUs === undefined ? command : `not here, but where ${insteadOfUs.name} runs: ${command}`;
  const because = why ?? `cluster ${watch.cluster.id} is in mode observe`;
  const sentence = `${reason}. Nothing is done about it: ${because}. ${answer.sentence}`;
  await raise(watch.env, undefined, { key, severity: 'critical', sentence, nextCommand });
  (await watch.alerted(host)).add(key);
}
