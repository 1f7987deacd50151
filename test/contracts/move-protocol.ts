/** What a world must offer to cases about moves of disks, and the protocol of the port as they carry it out. */
import type { VolumeMovesPort } from '../../activities/ports';
import type { HostId, PoolId, VmId } from '../../domain/ids';
import type { BeforeImage, DiskKey, MoveOrder, MoveTask, MoveVerdict } from '../../domain/volume-move';
import { eventually, notAborted } from './contract';

/** A VM made for one case. */
export interface MovableVm {
  readonly vmId: VmId;
  readonly hostId: HostId;
  readonly name: string;
  readonly disks: readonly DiskKey[];
}

/** How the next move of a VM goes, where a world can be told so. */
export type Manner =
  | 'says-done-does-nothing'
  | 'moves-part'
  | 'moves-part-says-failed'
  | 'fails-before'
  | 'fails-after-copy'
  | 'moves-says-failed'
  | 'keeps-source'
  | 'hangs'
  | 'ignores-cancel';

export interface VolumeMovesSubject {
  readonly port: VolumeMovesPort;
  /** Where the disks of `newVm` are not. */
  readonly target: PoolId;
  newVm(state: 'running' | 'stopped', disks?: number): Promise<MovableVm>;
  readonly world: {
    /** The files that the VM runs from or would start from, in the order of its disks: read by a reader that is no part of the driver. */
    filesOf(vm: MovableVm): Promise<string[]>;
    isOn(path: string, pool: PoolId): Promise<boolean>;
    exists(path: string): Promise<boolean>;
    /** What the disk holds, as something that can be compared; of a VM that writes, up to now. */
    contentOf(path: string): Promise<string>;
    runs(vm: MovableVm): Promise<boolean>;
    /** The VM leaves every inventory; its files stay. */
    unregister(vm: MovableVm): Promise<void>;
    unlink(path: string): Promise<void>;
    fillTarget(): Promise<void>;
    setManner(vm: MovableVm, manner: Manner): Promise<void>;
    /** Lets a move that hangs end as it was going to. */
    endMoves(vm: MovableVm): Promise<void>;
    /** How often a move of this VM was really begun. */
    begun(vm: MovableVm): Promise<number>;
    silenceHost(host: HostId): Promise<void>;
    powerOff(host: HostId): Promise<void>;
  };
}

let count = 0;
export function orderFor(vm: MovableVm, to: PoolId, disks: readonly DiskKey[] = vm.disks): MoveOrder {
  count += 1;
  const { vmId, hostId } = vm;
  return { attempt: `case${process.pid}x${count}`, vmId, hostId, disks: disks.map((disk) => ({ disk, to })) };
}

export const nothingKnown = { proofs: [], switchAsked: false } as const;
const patienceMs = 30_000;

export async function prepared(port: VolumeMovesPort, order: MoveOrder): Promise<BeforeImage> {
  const said = await port.preflight(order, notAborted());
  if (said.kind === 'ready') return said.before;
  throw new Error(`refused: ${said.faults.map((f) => f.sentence).join('; ')}`);
}

export async function submitted(
  port: VolumeMovesPort,
  before: BeforeImage,
  direction: 'there' | 'back' = 'there',
): Promise<MoveTask> {
  const said = await port.submit(before, direction, notAborted());
  if (said.kind === 'accepted') return said.task;
  throw new Error(`${said.kind}: ${said.fault.sentence}`);
}

/** Until the copy waits for the order or the task is over. */
export async function followed(port: VolumeMovesPort, before: BeforeImage, task: MoveTask): Promise<string> {
  let end = '';
  await eventually(patienceMs, async () => {
    const state = await port.follow(before, task, 200, notAborted());
    end = state.kind === 'ended' ? state.says : state.kind;
    return state.kind !== 'running';
  });
  return end;
}

/** The protocol of the port up to the verdict, as its comment has it. */
export async function carriedOut(
  port: VolumeMovesPort,
  before: BeforeImage,
  direction: 'there' | 'back' = 'there',
): Promise<{ task: MoveTask; end: string; verdict: MoveVerdict }> {
  const task = await submitted(port, before, direction);
  let end = await followed(port, before, task);
  if (before.switches === 'by-order' && end === 'ready') {
    await port.switchOver(before, task, notAborted());
    end = await followed(port, before, task);
  }
  const verdict = await port.classify(before, nothingKnown, notAborted());
  return { task, end, verdict };
}

export const leftoversOf = (verdict: MoveVerdict) => ('leftovers' in verdict ? verdict.leftovers : []);
