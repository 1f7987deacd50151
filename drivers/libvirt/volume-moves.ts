/**
 * Moves of disks on libvirt hosts, one file to another. Theory of operation: the disk of a running VM is copied by QEMU itself with synchronous
 * writes, so that once it is ready both files are equal at every moment; then the guest stands still, the VM is pivoted, and only after the record was
 * written does it go on. The disk of a stopped VM is copied by a process on its host, compared, and its definition is changed.
 *
 * INVARIANTS:
 * - A target's name carries the attempt, so nothing that another attempt or a person made is ever taken for ours, written to or removed.
 * - What libvirt, virsh or qemu-img return proves nothing (a pivot onto a deleted file returns 0): places, locks and contents are read.
 * - A copy of ours is begun again only when nothing of it runs: repeating `submit` cannot begin it twice.
 */
import type { ActOutcome, FoundTask, Preflight, Submitted, VolumeMovesPort } from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { BeforeImage, Leftover, MoveVerdict } from '../../domain/volume-move';
import { followCold, redefine } from './cold-move';
import { beginCopy, endCopy, removeFile } from './copy-scripts';
import { followLive, pivot } from './live-move';
import { preflightMove } from './move-preflight';
import {
  foreignJob,
  type LibvirtMovesOptions,
  liveDisk,
  lookEveryMs,
  MoveReach,
  partsOf,
  shortMs,
  taskOf,
} from './move-reach';
import { ok, refused } from './outcomes';
import { quoted } from './virsh';
import { isActive, probe, readVm } from './vm-disks';
import { readVerdict } from './volume-verdict';

export type { LibvirtMovesOptions };

export interface LibvirtVolumeMoves extends VolumeMovesPort {
  close(): Promise<void>;
}

export const createLibvirtVolumeMoves = (options: LibvirtMovesOptions): LibvirtVolumeMoves =>
  new Moves(options);

class Moves implements LibvirtVolumeMoves {
  private readonly reach: MoveReach;

  constructor(private readonly options: LibvirtMovesOptions) {
    this.reach = new MoveReach(options);
  }

  preflight: VolumeMovesPort['preflight'] = async (order, signal): Promise<Preflight> => {
    const { hostId, vmId } = order;
    if (vmId === undefined) {
      const facts = {
        vm: 'no VM',
        disk: order.disks[0]?.disk ?? '',
        detail: 'disks without a VM are not moved on KVM hosts',
      };
      return { kind: 'refused', faults: [fault('DISK_NOT_MOVABLE', facts)] };
    }
    const seen = await readVm(this.reach.connection(hostId), vmId, signal);
    const elsewhere = seen === undefined ? await this.reach.everywhere(hostId, vmId, [], signal) : [];
    return preflightMove(
      { order, seen, elsewhere, pools: this.options.pools, poolOf: this.options.poolOf, run: this.reach.run },
      signal,
    );
  };

  submit: VolumeMovesPort['submit'] = async (before, direction, signal): Promise<Submitted> => {
    const refuse = (detail: string): Submitted => ({
      kind: 'refused',
      fault: fault('MOVE_REFUSED', { vm: before.name, detail }),
    });
    if (direction === 'back')
      return refuse('a disk that was switched on a KVM host goes back by an order of its own');
    const { hostId, source, target, format, vmId, device } = partsOf(before);
    const task = taskOf(before);
    try {
      const seen = await readVm(this.reach.connection(hostId), vmId, signal);
      const disk = liveDisk(seen, device);
      if (seen === undefined)
        return {
          kind: 'refused',
          fault: fault('VM_NOT_IN_INVENTORY', { vm: before.name, detail: `${hostId} does not list it` }),
        };
      const busy = foreignJob(seen, target);
      if (busy !== undefined)
        return { kind: 'refused', fault: fault('MOVE_BUSY', { vm: before.name, detail: busy }) };
      if (disk?.mirror !== undefined || disk?.path === target) return { kind: 'accepted', task };
      if (isActive(seen.observed) !== before.running)
        return refuse(`it is ${seen.observed.state} now, and was not when the order was checked`);
      if (!before.running) {
        await this.reach.script(hostId, beginCopy, [source, target, format], shortMs, signal);
        return { kind: 'accepted', task };
      }
      if ((await probe(this.reach.run, hostId, source, format, signal)) !== 'held')
        return refuse(`it names ${source} and does not have it open`);
      // Of this attempt, and not being written to: what an earlier try of it left.
      const gone = await this.reach.run(hostId, removeFile, [target, format, target], shortMs, signal);
      if (gone.code !== 0)
        return refuse(`${target} is there and cannot be taken away: ${gone.stdout.trim()}`);
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
    const copy = `blockcopy ${vmId} ${device} --dest ${quoted(target)} --format ${format} --transient-job --synchronous-writes`;
    const outcome = await this.reach.act(hostId, before.name, 'blockcopy', copy, signal);
    if (outcome.kind === 'ok') return { kind: 'accepted', task };
    if (outcome.kind === 'refused') return refuse(outcome.fault.facts['detail'] ?? outcome.fault.sentence);
    return outcome;
  };

  find: VolumeMovesPort['find'] = async (before, direction, _since, signal): Promise<FoundTask> => {
    if (direction === 'back') return { kind: 'nothing', repeatable: true };
    const { hostId, vmId, device, target } = partsOf(before);
    const seen = await readVm(this.reach.connection(hostId), vmId, signal);
    const busy = seen === undefined ? undefined : foreignJob(seen, target);
    if (busy !== undefined)
      return { kind: 'foreign', fault: fault('MOVE_BUSY', { vm: before.name, detail: busy }) };
    const disk = liveDisk(seen, device);
    if (disk?.mirror !== undefined || disk?.path === target) return { kind: 'found', task: taskOf(before) };
    const [state] = await this.reach.copyState(hostId, target, signal);
    const found = !before.running && ['whole', 'running', 'failed'].includes(state);
    return found ? { kind: 'found', task: taskOf(before) } : { kind: 'nothing', repeatable: true };
  };

  follow: VolumeMovesPort['follow'] = async (before, _task, roundMs, signal) => {
    const until = Date.now() + roundMs;
    for (;;) {
      const state = before.running
        ? await followLive(this.reach, before, signal)
        : await followCold(this.reach, before, signal);
      if (state.kind !== 'running' || Date.now() >= until || signal.aborted) return state;
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  };

  cancel: VolumeMovesPort['cancel'] = async (before, _task, signal): Promise<ActOutcome> => {
    const { hostId, vmId, device, target } = partsOf(before);
    try {
      await this.reach.script(hostId, endCopy, [target], shortMs, signal);
      const seen = await readVm(this.reach.connection(hostId), vmId, signal);
      if (liveDisk(seen, device)?.mirror?.path !== target) return ok;
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
    const outcome = await this.reach.act(
      hostId,
      before.name,
      'blockjob --abort',
      `blockjob ${vmId} ${device} --abort`,
      signal,
    );
    // Refused because it is over meanwhile: what it came to is read anyway.
    return outcome.kind === 'refused' ? ok : outcome;
  };

  switchOver: VolumeMovesPort['switchOver'] = async (before, _task, signal): Promise<ActOutcome> => {
    const { hostId, vmId } = partsOf(before);
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
    const { hostId, vmId } = partsOf(before);
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

  close = (): Promise<void> => this.reach.close();

  private async removeOne(
    before: BeforeImage,
    { path, what }: Leftover,
    signal: AbortSignal,
  ): Promise<ActOutcome | undefined> {
    const { hostId, vmId, source, target, format } = partsOf(before);
    const not = (detail: string): ActOutcome =>
      refused(fault('NOT_REMOVED', { path, vm: before.name, detail }));
    try {
      const ours = path === (what === 'copy' ? target : source);
      if (!ours && (await probe(this.reach.run, hostId, path, format, signal)) === 'absent') return undefined;
      if (!ours) return not('it was not made, and not moved away from, by this order');
      const seen = await readVm(this.reach.connection(hostId), vmId, signal);
      if (seen === undefined) return not(`${hostId} does not list the VM, so nobody knows what it needs`);
      const names = [...seen.next, ...(seen.live ?? [])].find(
        (d) => d.path === path || d.mirror?.path === path,
      );
      if (names !== undefined) return not(`${before.name} names it (${names.device})`);
      const end = await this.reach.run(hostId, removeFile, [path, format, target], shortMs, signal);
      return end.code === 0 ? undefined : not(end.stdout.trim() || end.stderr.trim());
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
  }
}
