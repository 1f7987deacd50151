/** `mode: 'rehearse'`: the reads of a real recovery, and for every act the sentence that says what it would do. */
import { setCurrentDetails } from '@temporalio/workflow';
import { look, power } from './activity-options';
import type { RecoverHostResult, RestartVmResult } from './inputs';
import type { Run } from './recover-host-run';

export async function rehearse(run: Run): Promise<RecoverHostResult> {
  const { hostId, incidentId, clusterId } = run.input;
  const would: string[] = [];
  const { verdict } = await look.lookAtHost({ hostId, withPower: true });
  would.push(
    verdict.verdict === 'dead-by-evidence'
      ? `${hostId} is dead: ${verdict.why}`
      : `${hostId} is ${verdict.verdict} now (${verdict.why}): a real run would not fence it; from here on it is taken for dead`,
  );
  const trouble = await look.countTrouble({ hostId, clusterId, incidentId, mode: 'rehearse' });
  would.push(
    trouble.inTrouble.length > trouble.allowed
      ? `would be held: ${trouble.inTrouble.join(', ')} in trouble at once, ${trouble.allowed} allowed`
      : `within the blast radius (${trouble.inTrouble.length} of ${trouble.allowed} allowed)`,
  );
  would.push(...(await power().rehearseFence({ hostId })));
  const vmIds = run.brief.roster.map((v) => v.vmId);
  would.push(...(await look.rehearseRelease({ hostId, vmIds })));
  const plan = await look.planRestarts({ hostId, incidentId, vmIds, onItself: false, mode: 'rehearse' });
  const vms: RestartVmResult[] = [];
  for (const vm of plan.vms) {
    const said = await look.rehearseStart({
      vmId: vm.vmId,
      incidentId,
      incidentBeganAt: run.brief.openedAt,
      evidence: [],
      afterRetry: false,
      target: vm.target,
      assumeOff: hostId,
    });
    would.push(...said.would);
    vms.push({
      vmId: vm.vmId,
      name: vm.name,
      phase: said.comesBack ? 'running' : 'blocked',
      target: said.target,
      fault: undefined,
      finishedAt: new Date().toISOString(),
      would: said.would,
    });
  }
  setCurrentDetails(would.map((w) => `- ${w}`).join('\n'));
  const back = vms.filter((v) => v.phase === 'running').length;
  const sentence = `rehearsed: ${back} of ${vms.length} VMs would come back; nothing was touched`;
  return { incidentId, hostId, outcome: 'rehearsed', sentence, vms, would };
}
