import type { Told } from '../../activities/ports';
import { targetId } from '../../domain/ids';

/** Of whom and of what an alert tells, from its incident. Labels never change while it is open; annotations may. */
export function aboutOf(
  { incident, clearedAt }: Told,
  nowMs: number,
): { readonly labels: Record<string, string>; readonly annotations: Record<string, string> } {
  if (incident === undefined) return { labels: {}, annotations: {} };
  const { target, clusterId, incidentId, openedAt, closedAt, triggers } = incident;
  const until = Date.parse(closedAt ?? clearedAt ?? new Date(nowMs).toISOString());
  const seconds = Math.max(0, Math.round((until - Date.parse(openedAt)) / 1000));
  const first = triggers[0];
  return {
    labels: {
      cluster: clusterId,
      [target.kind]: targetId(target),
      incident: incidentId,
    },
    annotations: {
      downtime: `${seconds} s`,
      phase: incident.phase,
      ...(first !== undefined && { cause: first.reason, source: `${first.by} (${first.source})` }),
    },
  };
}
