import type { VmId } from '../../domain/ids';
import type { ProcessInterval } from '../../drivers/simulated';
import type { Checker, Finding } from './facts';

const checker = 'no VM on two hosts at once';

const lastsUntil = (interval: ProcessInterval): number => interval.endedSeq ?? Infinity;

/** By the stays of its processes: two that overlap are two writers, whether they wrote or not. */
export const oneProcess: Checker = ({ world }) => {
  const byVm = new Map<VmId, ProcessInterval[]>();
  for (const stay of world.processes) byVm.set(stay.vmId, [...(byVm.get(stay.vmId) ?? []), stay]);
  const findings: Finding[] = [];
  for (const [vm, stays] of byVm) {
    const inOrder = [...stays].sort((x, y) => x.startedSeq - y.startedSeq);
    for (const [i, first] of inOrder.entries())
      for (const second of inOrder.slice(i + 1))
        if (second.startedSeq < lastsUntil(first))
          findings.push({
            checker,
            sentence: `${vm} was started on ${second.hostId} (${second.boot}) while it ran on ${first.hostId} (${first.boot})`,
            seq: second.startedSeq,
          });
  }
  return findings;
};

/** By what is on the disks: each boot must be one contiguous run of writes. */
export const oneRunPerBoot: Checker = ({ world }) => {
  const findings: Finding[] = [];
  for (const disk of world.disks) {
    const over = new Set<string>();
    let current: string | undefined;
    for (const write of disk.writes) {
      if (write.boot === current) continue;
      if (current !== undefined) over.add(current);
      current = write.boot;
      if (over.has(current))
        findings.push({
          checker,
          sentence: `${disk.path} was written by ${write.boot} on ${write.hostId} again after another boot had written`,
          seq: undefined,
        });
    }
  }
  return findings;
};
