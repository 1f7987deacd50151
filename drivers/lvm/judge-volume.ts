/** Which logical volume a path means, and whether it may be activated. Pure: a name is believed only where it is no guess. */
import type { VolumeIdentity } from '../../domain/records';
import { type LogicalVolume, type LvmReport, namesIn, type VolumeGroup } from './report';

export type Judged =
  | { readonly kind: 'found'; readonly group: VolumeGroup; readonly volume: LogicalVolume }
  | { readonly kind: 'not'; readonly why: string };

const not = (why: string): Judged => ({ kind: 'not', why });

/** @param recorded What the volume was while its VM ran; names alone are followed only where nothing was recorded. */
export function judgeVolume(report: LvmReport, path: string, recorded: VolumeIdentity | undefined): Judged {
  const names = namesIn(path);
  if (names === undefined) return not(`${path} names no logical volume (/dev/GROUP/VOLUME)`);
  const namesakes = report.groups.filter((g) => g.name === names.group);
  const [group] = namesakes;
  if (group === undefined) return not(missingGroup(report, path, names.group, recorded));
  if (namesakes.length > 1)
    return not(
      `${path} is ambiguous: ${namesakes.length} volume groups are called ${names.group} (${namesakes.map((g) => g.uuid).join(', ')})`,
    );
  const volume = report.volumes.find((v) => v.groupUuid === group.uuid && v.name === names.volume);
  if (recorded !== undefined && group.uuid !== recorded.group)
    return not(
      `volume group ${names.group} is another one there: ${group.uuid}, and ${path} is in ${recorded.group}`,
    );
  if (volume === undefined) return not(`${path} is missing: ${names.group} holds no ${names.volume}`);
  if (recorded !== undefined && volume.uuid !== recorded.volume)
    return not(`${path} is another volume now: ${volume.uuid}, and it was ${recorded.volume}`);
  if (volume.partial) return not(`${path} is partial: ${missingDisks(report, group)}`);
  return { kind: 'found', group, volume };
}

function missingGroup(
  report: LvmReport,
  path: string,
  name: string,
  recorded: VolumeIdentity | undefined,
): string {
  const renamed = report.groups.find((g) => g.uuid === recorded?.group);
  return renamed === undefined
    ? `${path} is missing: no volume group ${name} is seen there`
    : `${path} is missing: its volume group ${renamed.uuid} is called ${renamed.name} there, and not ${name}`;
}

function missingDisks(report: LvmReport, group: VolumeGroup): string {
  const missing = report.physical.filter((p) => p.groupUuid === group.uuid && p.missing).map((p) => p.uuid);
  return missing.length === 0
    ? 'a physical volume of it is missing'
    : `physical volumes ${missing.join(', ')} are missing`;
}
