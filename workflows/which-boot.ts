/** Of a host that is alive again: is it the boot in which it was last well? */
import type { IncidentBrief } from '../activities/incident';
import type { HostId } from '../domain/ids';
import { type Boot, bootByIds } from '../domain/judge-boot';
import { look } from './activity-options';

export async function whichBoot(
  hostId: HostId,
  brief: Pick<IncidentBrief, 'knownBootId' | 'roster'>,
  bootId: string | undefined,
): Promise<Boot | 'not-known'> {
  const byIds = bootByIds(brief.knownBootId, bootId);
  return byIds ?? look.judgeBoot({ hostId, roster: brief.roster.map((v) => v.vmId) });
}
