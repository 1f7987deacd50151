/** Where a VM is that its host no longer runs, and whether it has been restarted too often. Reads only. */
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { type HostVmList, isAtRest, millisOf } from '../domain/observations';
import type { TriggerSource, VmRecord } from '../domain/records';
import type { OnIoError } from '../domain/fleet';
import { endedInOrder, hasCrashed, stoppedByTrouble } from '../domain/watch-rules';
import { clusterById, type Environment, recordedVm } from './environment';
import { faultOf } from './fault-boundary';

export type Whereabouts =
  | { readonly is: 'running'; readonly on: HostId; readonly why: string }
  /** On no host of its cluster, by complete lists or by evidence that a host is off. `home`: its own host, while that takes VMs. */
  | { readonly is: 'nowhere'; readonly why: string; readonly home: HostId | undefined }
  /** Its host has paused it because its disk failed, and the policy says what may be done about that. */
  | { readonly is: 'paused'; readonly on: HostId; readonly how: 'resume' | 'restart'; readonly why: string }
  | { readonly is: 'not-wanted'; readonly why: string }
  | { readonly is: 'not-known'; readonly why: string };

export interface RestartBudget {
  readonly used: number;
  readonly allowed: number;
  readonly perMs: number;
}

/** How often a VM's incidents are looked through: more than any budget allows. */
const incidentsReadMax = 200;

/**
 * Reasons with which a host's own list says that the VM stopped there and went nowhere. After `migrated` it may run elsewhere, and after
 * `unknown` (the daemon was restarted since) nobody remembers.
 */
const stoppedHere = (reason: string): boolean => reason !== 'migrated' && reason !== 'unknown';

export const missingVmActivities = (env: Environment) => ({
  /** @param input.reported Only a monitor says that it is down, which cannot tell a failure from a guest that shut itself down. */
  async findVm(input: { vmId: VmId; reported?: true }): Promise<Whereabouts> {
    const vm = await recordedVm(env, input.vmId);
    if (!vm.protected) return { is: 'not-wanted', why: 'it is not protected any more' };
    if (vm.desired === 'stopped') return { is: 'not-wanted', why: 'it is not to run any more' };
    const standing = (await env.inventory.host(vm.hostId))?.standing;
    if (standing === 'maintenance') return { is: 'not-wanted', why: `${vm.hostId} is in maintenance` };
    const { policy, vms } = clusterById(env, vm.clusterId);
    const own = vms[vm.name] ?? vms[vm.vmId];
    const sights = await sightsOf(env, vm);
    const ended = sights.find((s) => s.seen === 'at-rest' && s.hostId === vm.hostId && s.inOrder === true);
    const respected = (own?.guestShutdown ?? policy.watch.guestShutdown) === 'respect';
    const where = whereabouts(
      vm,
      sights,
      standing === 'in-service',
      own?.onIoError ?? policy.watch.onIoError,
    );
    if (input.reported === true && where.is === 'nowhere' && ended !== undefined && respected)
      return {
        is: 'not-wanted',
        why: `${where.why}: it was shut down in order, and its policy is to leave it`,
      };
    return where;
  },

  async restartBudget(input: { vmId: VmId; incidentId: IncidentId }): Promise<RestartBudget> {
    const vm = await recordedVm(env, input.vmId);
    const { restarts, perMs } = clusterById(env, vm.clusterId).policy.watch.restartBudget;
    const incidents = await env.inventory.incidents({ vmId: vm.vmId, limit: incidentsReadMax });
    const since = Date.now() - perMs;
    const used = incidents.filter(
      (i) =>
        i.incidentId !== input.incidentId &&
        (i.outcome === 'recovered' || i.outcome === 'partially-recovered') &&
        millisOf(i.openedAt) >= since &&
        isByItself(i.triggers[0]?.source),
    ).length;
    return { used, allowed: restarts, perMs };
  },
});

/** Nobody asked for it: the watch saw it, or a monitor did. */
const isByItself = (source: TriggerSource | undefined): boolean => source === 'watch' || source === 'webhook';

/** Where its whole cluster says that it is. Reads only. */
export async function whereIs(env: Environment, vm: VmRecord): Promise<Whereabouts> {
  return whereabouts(vm, await sightsOf(env, vm), true);
}

const sightsOf = (env: Environment, vm: VmRecord): Promise<Sight[]> =>
  Promise.all(clusterById(env, vm.clusterId).hosts.map((h) => sightOf(env, vm, h.id)));

type Sight =
  | { readonly hostId: HostId; readonly seen: 'off' | 'absent' }
  | {
      readonly hostId: HostId;
      readonly seen: 'at-rest' | 'running' | 'between';
      readonly words: string;
      /** On the record's own host, for a reason that is of that host alone. */
      readonly here: boolean;
      /** Its guest, or a person, ended it in order. */
      readonly inOrder?: boolean;
      /** Why it stands paused there, where its host has paused it. */
      readonly paused?: string;
    }
  | { readonly hostId: HostId; readonly seen: 'unreadable'; readonly why: string };

async function sightOf(env: Environment, vm: VmRecord, hostId: HostId): Promise<Sight> {
  if ((await env.inventory.evidenceFor(hostId)) !== undefined) return { hostId, seen: 'off' };
  let list: HostVmList;
  try {
    list = await env.lists.read(hostId);
  } catch (error) {
    const known = faultOf(error);
    if (known === undefined) throw error;
    return { hostId, seen: 'unreadable', why: known.sentence };
  }
  const found = list.vms.find((v) => v.vmId === vm.vmId);
  if (found === undefined) return { hostId, seen: 'absent' };
  const words = `${found.state} (${found.reason}) on ${hostId}`;
  const seen = found.state === 'running' ? 'running' : isAtRest(found.state) ? 'at-rest' : 'between';
  const isPaused = found.state === 'paused' && stoppedByTrouble(found.reason);
  const here = hostId === vm.hostId && stoppedHere(found.reason);
  const inOrder = found.state === 'shut-off' && endedInOrder(found.reason);
  return { hostId, seen, words, here, inOrder, ...(isPaused && { paused: found.reason }) };
}

/** Pure. A host that cannot be read matters unless the VM's own host says that it stopped right there. */
export function whereabouts(
  vm: Pick<VmRecord, 'name' | 'hostId'>,
  sights: readonly Sight[],
  takesVms: boolean,
  onIoError: OnIoError = 'leave',
): Whereabouts {
  const own = sights.find((s) => s.hostId === vm.hostId)?.seen;
  const home = takesVms && (own === 'absent' || own === 'at-rest') ? vm.hostId : undefined;
  const running = sights.find((s) => s.seen === 'running');
  if (running !== undefined)
    return { is: 'running', on: running.hostId, why: `it runs on ${running.hostId} again` };
  const [between, another] = sights.filter((s) => s.seen === 'between');
  const paused = between !== undefined && 'paused' in between && between.here ? between.paused : undefined;
  if (paused !== undefined && another === undefined) {
    const on = vm.hostId;
    const why = `${vm.name} is paused (${paused}) on ${on}`;
    // One that is kept as it crashed would not go on, however often it is told to.
    const leave = onIoError === 'leave' || (onIoError === 'resume' && hasCrashed(paused));
    return leave
      ? { is: 'not-known', why: `${why}: it may write again` }
      : { is: 'paused', on, how: onIoError, why };
  }
  if (between !== undefined && 'words' in between)
    return { is: 'not-known', why: `${vm.name} is ${between.words}: it may write again` };
  const stopped = sights.find((s) => s.seen === 'at-rest' && s.here);
  if (stopped !== undefined && 'words' in stopped)
    return { is: 'nowhere', why: `${vm.name} is ${stopped.words}`, home };
  const unreadable = sights.flatMap((s) => (s.seen === 'unreadable' ? [s] : []));
  if (unreadable.length > 0) {
    const why = unreadable.map((s) => s.why).join(' ');
    return { is: 'not-known', why: `${vm.name} may run where nobody can look: ${why}` };
  }
  return { is: 'nowhere', why: `${vm.name} runs on no host of its cluster`, home };
}
