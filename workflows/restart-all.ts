/** The fan-out of an incident: one `restartVm` per VM, in priority waves, in a bounded window, bounded per target host. */
import {
  CancellationScope,
  ChildWorkflowCancellationType,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  startChild,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { FenceEvidence } from '../domain/evidence';
import { fault } from '../domain/faults';
import { type HostId, workflowIds } from '../domain/ids';
import { waves } from '../domain/placement';
import type { VmProgress, VmResult } from '../domain/recovery-state';
import { otherRun } from './activity-options';
import { vmResultOf } from './failures';
import type { PlannedVm, RecoverHostInput, RestartVmInput, RestartVmResult, RunMemo } from './inputs';
import { hostFailedSignal } from './messages';
import type { restartVm } from './restart-vm';
import { subject } from './search-attributes';

export interface FanOut {
  readonly input: RecoverHostInput;
  readonly incidentBeganAt: string;
  readonly evidence: FenceEvidence | undefined;
  readonly concurrency: { readonly window: number; readonly perHost: number };
  readonly held: () => boolean;
  /** VMs that told the incident that they wait for a person: they count as settled for it. */
  readonly stuck: ReadonlyMap<string, VmResult>;
  readonly moved: (vm: VmProgress) => void;
}

export async function restartAll(fan: FanOut, vms: readonly PlannedVm[]): Promise<RestartVmResult[]> {
  const results: RestartVmResult[] = [];
  for (const wave of waves(vms)) results.push(...(await restartWave(fan, wave)));
  return results;
}

/** Starts the next VM as soon as the window and its target have room; a held incident starts none. */
async function restartWave(fan: FanOut, wave: readonly PlannedVm[]): Promise<RestartVmResult[]> {
  const waiting = [...wave];
  const busy = new Map<HostId | undefined, number>();
  const running = new Set<Promise<void>>();
  const results: RestartVmResult[] = [];
  const hasRoom = (vm: PlannedVm): boolean => (busy.get(vm.target) ?? 0) < fan.concurrency.perHost;
  while (waiting.length > 0 || running.size > 0) {
    await condition(() => !fan.held() || waiting.length === 0 || running.size > 0);
    const next = waiting.findIndex(hasRoom);
    if (next >= 0 && running.size < fan.concurrency.window && !fan.held()) {
      const [vm] = waiting.splice(next, 1) as [PlannedVm];
      busy.set(vm.target, (busy.get(vm.target) ?? 0) + 1);
      const one = restartOne(fan, vm).then((result) => {
        results.push(result);
        busy.set(vm.target, (busy.get(vm.target) ?? 1) - 1);
        running.delete(one);
      });
      running.add(one);
    } else if (running.size > 0) {
      await Promise.race(running);
    }
  }
  return results;
}

async function restartOne(fan: FanOut, vm: PlannedVm): Promise<RestartVmResult> {
  const { input } = fan;
  const workflowId =
    input.mode === 'act' ? workflowIds.vm(vm.vmId) : workflowIds.rehearsal(`vm-${vm.vmId}`, input.incidentId);
  fan.moved({ vmId: vm.vmId, name: vm.name, phase: 'starting', target: vm.target, fault: undefined });
  const result = await runOf(fan, vm, workflowId);
  fan.moved(result);
  return result;
}

/** Rounds of "its ID was taken, and what held it ended without bringing it back". */
const joinsMax = 3;

async function runOf(fan: FanOut, vm: PlannedVm, workflowId: string): Promise<RestartVmResult> {
  for (let round = 1; ; round += 1) {
    const own = await startOwn(fan, vm, workflowId);
    if (own !== undefined) return own;
    const joined = await joinOther(fan, vm, workflowId);
    // It went back or was gone before it heard of this failure: now that the ID is free, with the proof in hand it may come back.
    const ended =
      joined === undefined ||
      joined.phase === 'blocked' ||
      joined.phase === 'no-capacity' ||
      ranOnTheDead(fan, joined);
    if (!ended || round >= joinsMax) return joined ?? lost(vm, 'its ID is taken by other work');
  }
}

/** It ended well, on the host that has been proven off since: the VM is down again. */
const ranOnTheDead = (fan: FanOut, joined: RestartVmResult): boolean =>
  fan.evidence !== undefined &&
  joined.target === fan.input.hostId &&
  (joined.phase === 'running' || joined.phase === 'guest-degraded');

/** Undefined when other work holds the VM's ID. */
async function startOwn(
  fan: FanOut,
  vm: PlannedVm,
  workflowId: string,
): Promise<RestartVmResult | undefined> {
  const { input } = fan;
  const memo: RunMemo = {
    incidentId: input.incidentId,
    requestedBy: input.trigger.by,
    reason: input.trigger.reason,
  };
  try {
    const child = await startChild<typeof restartVm>('restartVm', {
      workflowId,
      args: [orderFor(fan, vm)],
      // A killed worker takes what it tried within the task with it: others try again after this, as soon as after a lost heartbeat.
      workflowTaskTimeout: '5 s',
      parentClosePolicy: ParentClosePolicy.ABANDON,
      cancellationType: ChildWorkflowCancellationType.ABANDON,
      staticSummary: `${vm.name}: start again${vm.target === undefined ? '' : ` on ${vm.target}`}`,
      typedSearchAttributes: subject({ incidentId: input.incidentId, hostId: input.hostId, vmId: vm.vmId }),
      memo: { ...memo },
    });
    return await settled(fan, vm, () => child.result());
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    return undefined;
  }
}

/** Tells the holder of the ID that the host has failed, and waits for its end; undefined when it ended before it could be told. */
async function joinOther(
  fan: FanOut,
  vm: PlannedVm,
  workflowId: string,
): Promise<RestartVmResult | undefined> {
  const { hostId, incidentId } = fan.input;
  try {
    const news = { hostId, incidentId, evidence: fan.evidence };
    await getExternalWorkflowHandle(workflowId).signal(hostFailedSignal, news);
  } catch (error) {
    if (isCancellation(error)) throw error;
    return undefined;
  }
  return settled(fan, vm, () => otherRun.awaitRun({ workflowId }) as Promise<RestartVmResult>);
}

function orderFor(fan: FanOut, vm: PlannedVm): RestartVmInput {
  const { input, evidence } = fan;
  return {
    vmId: vm.vmId,
    name: vm.name,
    clusterId: input.clusterId,
    incidentId: input.incidentId,
    mode: input.mode,
    cause: evidence === undefined ? 'host-returned' : 'host-failed',
    trigger: input.trigger,
    incidentBeganAt: fan.incidentBeganAt,
    epoch: 0,
    failed: evidence === undefined ? undefined : { hostId: input.hostId, evidence },
    target: vm.target,
  };
}

/** The run's result; or what it said when it began to wait for a person. */
async function settled(
  fan: FanOut,
  vm: PlannedVm,
  result: () => Promise<RestartVmResult>,
): Promise<RestartVmResult> {
  const isStuck = async (): Promise<RestartVmResult> => {
    await condition(() => fan.stuck.has(vm.vmId));
    return { ...(fan.stuck.get(vm.vmId) as VmResult), would: [] };
  };
  try {
    const answer = (await Promise.race([result(), isStuck()])) as RestartVmResult | undefined;
    return answer ?? lost(vm, 'it left no result');
  } catch (error) {
    // A VM's own run may be cancelled by itself; only this incident's cancellation ends the incident.
    if (isCancellation(error) && CancellationScope.current().consideredCancelled) throw error;
    const ending = vmResultOf(error);
    return ending === undefined ? lost(vm, String(error)) : { ...ending, would: [] };
  }
}

const lost = (vm: PlannedVm, detail: string): RestartVmResult => ({
  vmId: vm.vmId,
  name: vm.name,
  phase: 'stuck',
  target: vm.target,
  fault: fault('RUN_LOST', { vm: vm.name, detail }),
  finishedAt: new Date().toISOString(),
  would: [],
});
