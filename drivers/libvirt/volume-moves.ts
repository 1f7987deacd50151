/**
 * Moves of disks on libvirt hosts, to and from files and logical volumes. Theory of operation: the disk of a running VM is copied by QEMU itself with synchronous
 * writes, so that once it is ready both places are equal at every moment; then the guest stands still, the VM is pivoted, and only after the record was
 * written does it go on. The disk of a stopped VM is copied by a process on its host, compared, and its definition is changed.
 *
 * INVARIANTS:
 * - A target's name carries the attempt (and a volume's tag does), so nothing that another attempt or a person made is ever taken for ours, written to or removed.
 * - What libvirt, virsh or qemu-img return proves nothing (a pivot onto a deleted file returns 0): places, locks and contents are read.
 * - A copy of ours is begun again only when nothing of it runs: repeating `submit` cannot begin it twice.
 */
import type { ActOutcome, FoundTask, Preflight, Submitted, VolumeMovesPort } from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { BeforeImage, Leftover, MoveOrder, MoveVerdict } from '../../domain/volume-move';
import { beginCold, followCold, redefine } from './cold-move';
import { endCopy } from './copy-scripts';
import { beginLive, followLive, pivot } from './live-move';
import { createLooseMoves, type LooseMoves } from './loose-disks';
import { preflightMove } from './move-preflight';
import {
  followDisks,
  foreignJob,
  isBegun,
  type LibvirtMovesOptions,
  liveDisk,
  lookEveryMs,
  movedVm,
  MoveReach,
  shortMs,
  taskOf,
} from './move-reach';
import { ok, refused } from './outcomes';
import { besides, type Part } from './places';
import { isActive, readVm } from './vm-disks';
import { readVerdict } from './volume-verdict';

export type { LibvirtMovesOptions };

export interface LibvirtVolumeMoves extends VolumeMovesPort {
  close(): Promise<void>;
}

export function createLibvirtVolumeMoves(options: LibvirtMovesOptions): LibvirtVolumeMoves {
  const reach = new MoveReach(options);
  const ofVms = new Moves(reach);
  const loose = createLooseMoves(reach);
  const by = ({ vmId }: MoveOrder): LooseMoves => (vmId === undefined ? loose : ofVms);
  return {
    preflight: (order, signal) => by(order).preflight(order, signal),
    submit: (before, ...more) => by(before.order).submit(before, ...more),
    find: (before, ...more) => by(before.order).find(before, ...more),
    follow: (before, ...more) => by(before.order).follow(before, ...more),
    cancel: (before, ...more) => by(before.order).cancel(before, ...more),
    classify: (before, ...more) => by(before.order).classify(before, ...more),
    remove: (before, ...more) => by(before.order).remove(before, ...more),
    switchOver: ofVms.switchOver,
    letGo: ofVms.letGo,
    close: () => reach.close(),
  };
}

class Moves implements VolumeMovesPort {
  constructor(private readonly reach: MoveReach) {}

  preflight: VolumeMovesPort['preflight'] = async (order, signal): Promise<Preflight> => {
    const { hostId, vmId } = order;
    if (vmId === undefined) throw new Error('a disk that belongs to no VM is moved by others');
    const seen = await readVm(this.reach.connection(hostId), vmId, signal);
    const elsewhere = seen === undefined ? await this.reach.everywhere(hostId, vmId, [], signal) : [];
    return preflightMove({ order, seen, elsewhere, reach: this.reach }, signal);
  };

  submit: VolumeMovesPort['submit'] = async (before, direction, signal): Promise<Submitted> => {
    const refuse = (detail: string): Submitted => ({
      kind: 'refused',
      fault: fault('MOVE_REFUSED', { vm: before.name, detail }),
    });
    if (direction === 'back')
      return refuse('a disk that was switched on a KVM host goes back by an order of its own');
    const vm = movedVm(before);
    const task = taskOf(before);
    let begun = false;
    try {
      const seen = await readVm(this.reach.connection(vm.hostId), vm.vmId, signal);
      if (seen === undefined)
        return {
          kind: 'refused',
          fault: fault('VM_NOT_IN_INVENTORY', { vm: before.name, detail: `${vm.hostId} does not list it` }),
        };
      const busy = foreignJob(seen, vm);
      if (busy !== undefined)
        return { kind: 'refused', fault: fault('MOVE_BUSY', { vm: before.name, detail: busy }) };
      const left = vm.disks.filter((part) => !isBegun(seen, part));
      if (left.length === 0) return { kind: 'accepted', task };
      if (isActive(seen.observed) !== before.running)
        return refuse(`it is ${seen.observed.state} now, and was not when the order was checked`);
      begun = left.length < vm.disks.length;
      for (const part of left) {
        const outcome = before.running
          ? await beginLive(this.reach, before, part, signal)
          : await this.beginCold(before, part, signal);
        // Of several disks another may be under way already: then nobody may say that nothing was sent.
        if (outcome.kind === 'unreachable' && begun) return { kind: 'unknown', fault: outcome.fault };
        if (outcome.kind !== 'ok') return outcome;
        begun = true;
      }
      return { kind: 'accepted', task };
    } catch (error) {
      if (error instanceof DriverFault)
        return { kind: begun ? 'unknown' : 'unreachable', fault: error.fault };
      throw error;
    }
  };

  find: VolumeMovesPort['find'] = async (before, direction, _since, signal): Promise<FoundTask> => {
    if (direction === 'back') return { kind: 'nothing', repeatable: true };
    const vm = movedVm(before);
    const seen = await readVm(this.reach.connection(vm.hostId), vm.vmId, signal);
    const busy = seen === undefined ? undefined : foreignJob(seen, vm);
    if (busy !== undefined)
      return { kind: 'foreign', fault: fault('MOVE_BUSY', { vm: before.name, detail: busy }) };
    let begun = 0;
    for (const part of vm.disks) {
      if (isBegun(seen, part)) begun += 1;
      else if (!before.running) {
        const [state] = await this.reach.copyState(vm.hostId, part, signal);
        if (['whole', 'running', 'failed'].includes(state)) begun += 1;
      }
    }
    if (begun === 0) return { kind: 'nothing', repeatable: true };
    return { kind: 'found', task: taskOf(before), ...(begun < vm.disks.length && { unfinished: true }) };
  };

  follow: VolumeMovesPort['follow'] = async (before, _task, roundMs, signal) => {
    const until = Date.now() + roundMs;
    for (;;) {
      const follow = before.running ? followLive : followCold;
      const state = await followDisks(this.reach, before, follow, signal);
      if (state.kind !== 'running' || Date.now() >= until || signal.aborted) return state;
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  };

  cancel: VolumeMovesPort['cancel'] = async (before, _task, signal): Promise<ActOutcome> => {
    const { hostId, vmId, disks } = movedVm(before);
    const jobs: string[] = [];
    try {
      for (const { source, target } of disks) {
        const run = this.reach.places.runAt(source, target);
        await this.reach.script(hostId, endCopy, [besides(target)], shortMs, signal, run);
        if (!before.running) await this.reach.places.shut(hostId, source, signal);
      }
      const seen = await readVm(this.reach.connection(hostId), vmId, signal);
      for (const { device, target } of disks)
        if (liveDisk(seen, device)?.mirror?.path === target.path) jobs.push(device);
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
    let silent: ActOutcome | undefined;
    for (const device of jobs) {
      const command = `blockjob ${vmId} ${device} --abort`;
      const outcome = await this.reach.act(hostId, before.name, 'blockjob --abort', command, signal);
      // Refused because it is over meanwhile: what it came to is read anyway.
      if (outcome.kind !== 'ok' && outcome.kind !== 'refused') silent = outcome;
    }
    return silent ?? ok;
  };

  switchOver: VolumeMovesPort['switchOver'] = async (before, _task, signal): Promise<ActOutcome> => {
    const { hostId, vmId } = movedVm(before);
    try {
      const seen = await readVm(this.reach.connection(hostId), vmId, signal);
      if (seen === undefined)
        return refused(
          fault('VM_NOT_IN_INVENTORY', { vm: before.name, detail: `${hostId} does not list it` }),
        );
      return seen.live === undefined
        ? await redefine(this.reach, before, seen, signal)
        : await pivot(this.reach, before, seen, signal);
    } catch (error) {
      // Some of it may have been done: it is read back, never guessed.
      if (error instanceof DriverFault) return { kind: 'unknown', fault: error.fault };
      throw error;
    }
  };

  classify: VolumeMovesPort['classify'] = async (before, known, signal): Promise<MoveVerdict> => {
    try {
      return await readVerdict(this.reach, before, known, signal);
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'UNKNOWN', fault: error.fault };
      throw error;
    }
  };

  letGo: VolumeMovesPort['letGo'] = async (before, signal): Promise<ActOutcome> => {
    const { hostId, vmId } = movedVm(before);
    if (!before.running) return ok;
    try {
      const seen = await readVm(this.reach.connection(hostId), vmId, signal);
      if (seen?.observed.state !== 'paused') return ok;
      await this.reach.act(hostId, before.name, 'resume', `resume ${vmId}`, signal);
      const after = await readVm(this.reach.connection(hostId), vmId, signal);
      if (after?.observed.state !== 'paused') return ok;
      return {
        kind: 'unknown',
        fault: fault('CALL_OUTCOME_UNKNOWN', { call: 'resume', host: hostId, vm: before.name }),
      };
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
  };

  remove: VolumeMovesPort['remove'] = async (before, leftovers, signal): Promise<ActOutcome> => {
    for (const leftover of leftovers) {
      const why = await this.removeOne(before, leftover, signal);
      if (why !== undefined) return why;
    }
    return ok;
  };

  private async beginCold(before: BeforeImage, part: Part, signal: AbortSignal): Promise<ActOutcome> {
    const why = await beginCold(this.reach, movedVm(before), part, signal);
    return why === undefined ? ok : refused(fault('MOVE_REFUSED', { vm: before.name, detail: why }));
  }

  private async removeOne(
    before: BeforeImage,
    { path, what }: Leftover,
    signal: AbortSignal,
  ): Promise<ActOutcome | undefined> {
    const vm = movedVm(before);
    const { hostId, vmId } = vm;
    const not = (detail: string): ActOutcome =>
      refused(fault('NOT_REMOVED', { path, vm: before.name, detail }));
    try {
      const part = vm.disks.find((d) => path === (what === 'copy' ? d.target : d.source).path);
      if (part === undefined) {
        // A volume that is not active has no device, and is there all the same.
        const volume = path.startsWith('/dev/') ? this.reach.options.volumes.namesIn(path) : undefined;
        const format = vm.disks[0]?.source.format ?? 'raw';
        const place = { path, format, volume, uuid: undefined };
        const sight = await this.reach.places.sight(hostId, place, signal);
        return sight === 'absent'
          ? undefined
          : not('it was not made, and not moved away from, by this order');
      }
      const seen = await readVm(this.reach.connection(hostId), vmId, signal);
      if (seen === undefined) return not(`${hostId} does not list the VM, so nobody knows what it needs`);
      const names = [...seen.next, ...(seen.live ?? [])].find(
        (d) => d.path === path || d.mirror?.path === path,
      );
      if (names !== undefined) return not(`${before.name} names it (${names.device})`);
      const why = await this.reach.places.remove(vm, part, what, signal);
      return why === undefined ? undefined : not(why);
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
  }
}
