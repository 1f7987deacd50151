import type { Told } from '../../activities/ports';
import { targetId } from '../../domain/ids';

/** Of whom and of what an alert tells, from its key and its incident. Labels never change while it is open; annotations may. */
export function aboutOf(
  { incident, subject, clearedAt, raisedAt }: Told,
  nowMs: number,
): { readonly labels: Record<string, string>; readonly annotations: Record<string, string> } {
  if (incident === undefined && subject === undefined) return { labels: {}, annotations: {} };
  const since = subject?.since ?? incident?.openedAt ?? raisedAt;
  const until = Date.parse(incident?.closedAt ?? clearedAt ?? new Date(nowMs).toISOString());
  const seconds = Math.max(0, Math.round((until - Date.parse(since)) / 1000));
  const first = incident?.triggers[0];
  return {
    labels: {
      ...(subject !== undefined && {
        cluster: subject.clusterId,
        ...(subject.hostId !== undefined && { host: subject.hostId }),
        ...(subject.vm !== undefined && { vm: subject.vm.vmId }),
      }),
      ...(incident !== undefined && {
        cluster: incident.clusterId,
        [incident.target.kind]: targetId(incident.target),
        incident: incident.incidentId,
      }),
    },
    annotations: {
      downtime: `${seconds} s`,
      ...(incident !== undefined && { phase: incident.phase }),
      ...(first !== undefined && { cause: first.reason, source: `${first.by} (${first.source})` }),
      ...(subject?.wentTo !== undefined && {
        target: subject.wentTo.map(({ hostId, vms }) => `${hostId} (${vms})`).join(', '),
      }),
      ...(subject?.vm !== undefined && { vm_name: subject.vm.name, target: subject.vm.hostId }),
    },
  };
}
