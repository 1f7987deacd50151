/**
 * VMs that run, or stand paused where their disk failed, on a host which the record does not name. Left so, such a VM is on no roster when its
 * host dies, and nobody brings it back or lets it go on; followed too readily, the record is torn between two hosts that both have it, and one
 * of the copies is forgotten.
 *
 * INVARIANT: the record follows only once the host that it names is accounted for: off by evidence, or by its own complete list, begun after
 * the list that shows the VM here, in which the VM is absent or at rest. Silence accounts for nothing.
 */
import type { Host } from '../domain/fleet';
import type { HostId, VmId } from '../domain/ids';
import { type HostVmList, isAtRest, type ObservedVm } from '../domain/observations';
import type { VmRecord } from '../domain/records';
import { hasProcess } from '../domain/watch-rules';
import { clear, raise } from './incident';
import type { Environment } from './environment';
import { faultOf } from './fault-boundary';

export interface Stray {
  readonly vm: VmRecord;
  /** How it was seen on the host that was looked at. */
  readonly here: string;
  /** What is said of it on the host that the record names. */
  readonly there: string;
}

export interface Strays {
  /** The record follows these here. */
  readonly follow: readonly Stray[];
  /** A process of it here and another there. */
  readonly twice: readonly Stray[];
  /** Whether every stray was decided; if not, the next look may tell. */
  readonly settled: boolean;
}

type There = 'gone' | 'kept' | 'between' | 'not-known' | 'ours';

type Account = Pick<Found, 'is' | 'there'>;

const none: Strays = { follow: [], twice: [], settled: true };

/** Reads only. */
export async function judgeStrays(env: Environment, host: Host, list: HostVmList): Promise<Strays> {
  const seen = seenOn(list);
  // Before the records: a recovery of ours gives its room back only once it has written the record.
  const reserved = new Set((await env.inventory.reservations()).map((r) => r.vmId));
  const strays = await env.inventory.vms({ ids: [...seen.keys()], notHostId: host.id });
  if (strays.length === 0) return none;
  const accounts = new Map<HostId, (vm: VmId) => Account>();
  for (const id of new Set(strays.map((v) => v.hostId))) accounts.set(id, await accountOf(env, id));
  const found = strays.map((vm): Found => {
    const here = seen.get(vm.vmId) ?? '';
    // Room is kept for it: a recovery of ours is bringing it here, and writes the record itself.
    if (reserved.has(vm.vmId)) return { vm, here, is: 'ours', there: '' };
    const said = accounts.get(vm.hostId)?.(vm.vmId) ?? silent;
    // One that was not to run anywhere is not missed where it was.
    if (said.is === 'not-known' && vm.desired === 'stopped') return { vm, here, ...said, is: 'gone' };
    return { vm, here, ...said };
  });
  const both = found.filter((f) => f.is === 'kept');
  // It may have moved to there since this host was read: only one here, one there and again one here are two.
  const still = both.length === 0 ? undefined : seenOn(await env.lists.read(host.id));
  const twice = both.filter((f) => still?.has(f.vm.vmId));
  return {
    follow: found.filter((f) => f.is === 'gone'),
    twice,
    settled: found.every((f) => f.is === 'gone' || f.is === 'not-known' || twice.includes(f)),
  };
}

interface Found extends Stray {
  readonly is: There;
}

const words = ({ state, reason }: Pick<ObservedVm, 'state' | 'reason'>): string =>
  state === 'running' ? 'runs' : `stands ${state} (${reason})`;

const seenOn = (list: HostVmList): Map<VmId, string> =>
  new Map(list.vms.filter(hasProcess).map((v) => [v.vmId, words(v)]));

const silent = { is: 'not-known', there: 'does not answer' } as const;

async function accountOf(env: Environment, host: HostId): Promise<(vm: VmId) => Account> {
  const evidence = await env.inventory.evidenceFor(host);
  if (evidence !== undefined) return () => ({ is: 'gone', there: `is off (${evidence.method})` });
  let list: HostVmList;
  try {
    list = await env.lists.read(host);
  } catch (error) {
    if (faultOf(error) === undefined) throw error;
    return () => silent;
  }
  return (vm) => {
    const seen = list.vms.find((v) => v.vmId === vm);
    if (seen === undefined) return { is: 'gone', there: 'does not know it' };
    const is = isAtRest(seen.state) ? 'gone' : hasProcess(seen) ? 'kept' : 'between';
    return { is, there: `has it ${seen.state} (${seen.reason})` };
  };
}

const twicePrefix = 'twice:';

/** One alert for each change, once. What is there twice no longer is said to be over. */
export async function tellStrays(env: Environment, host: Host, strays: Strays): Promise<void> {
  for (const { vm, here, there } of strays.follow) {
    const sentence = `${vm.name} ${here} on ${host.id}, and somebody else than VMedic brought it there: the record follows. It named ${vm.hostId}, which ${there}`;
    await raise(env, undefined, {
      key: `moved:${vm.vmId}:${vm.version}`,
      severity: 'info',
      sentence,
      nextCommand: undefined,
    });
  }
  const keyOf = (vm: VmId): string => `${twicePrefix}${vm}:${host.id}`;
  for (const { vm, here, there } of strays.twice) {
    const sentence = `${vm.name} is there twice: ${vm.hostId}, where the record puts it, ${there}, and it ${here} on ${host.id}. Both may write to its disks. End the copy that is not wanted at once; VMedic touches neither`;
    const nextCommand = `vmedic vm show ${vm.name}`;
    await raise(env, undefined, { key: keyOf(vm.vmId), severity: 'critical', sentence, nextCommand });
  }
  const now = new Set(strays.twice.map((s) => keyOf(s.vm.vmId)));
  if (!strays.settled) return;
  for (const { key } of await env.inventory.alerts({ open: true }))
    if (key.startsWith(twicePrefix) && key.endsWith(`:${host.id}`) && !now.has(key)) await clear(env, key);
}
