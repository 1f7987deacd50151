/** The two ends of a disk's move, each a file or a logical volume, and what may be done to them. */
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import type { BeforeImage } from '../../domain/volume-move';
import type { RunOnHost } from '../child-processes/on-host';
import { probeFile, removeFile } from './copy-scripts';
import type { LogicalVolumes, VolumeNames } from './logical-volumes';
import { type FileSight, probe, probeMs } from './vm-disks';

export interface Place {
  readonly path: string;
  readonly format: string;
  /** Undefined for a file. */
  readonly volume: VolumeNames | undefined;
  /** What the volume was when the order was checked; undefined for one that is still to be made. */
  readonly uuid: string | undefined;
}

/** One disk that moves. */
export interface Part {
  readonly device: string;
  readonly bytes: number;
  readonly source: Place;
  readonly target: Place;
}

export interface Parts {
  readonly hostId: HostId;
  readonly attempt: string;
  readonly disks: readonly Part[];
}

/** What `BeforeImage.own` holds of a disk with a volume at one end. */
export interface OwnVolumes {
  readonly source?: VolumeNames & { readonly uuid: string };
  readonly target?: VolumeNames;
}

export function partsOf(before: BeforeImage): Parts {
  const volumes = (before.own['volumes'] ?? {}) as Readonly<Record<string, OwnVolumes>>;
  const disks = before.disks.flatMap(({ device, bytes, at, wanted }): Part[] => {
    if (wanted === undefined) return [];
    if (wanted.path === undefined) throw notOurs(before);
    const own = volumes[device];
    const source = { path: at.path, format: at.format, volume: own?.source, uuid: own?.source?.uuid };
    const format = wanted.format ?? at.format;
    const target = { path: wanted.path, format, volume: own?.target, uuid: undefined };
    return [{ device, bytes, source, target }];
  });
  if (disks.length === 0) throw notOurs(before);
  return { hostId: before.order.hostId, attempt: before.order.attempt, disks };
}

const notOurs = (before: BeforeImage): DriverFault =>
  new DriverFault('MOVE_REFUSED', {
    vm: before.name,
    detail: 'what was read before is not of this driver',
  });

/** Where what is known of a copy is kept while it is made: beside a file; for a volume where it lives as long as the process, until the next boot. */
export const besides = ({ path, volume }: Place): string =>
  volume === undefined ? path : `/run/vmedic/moves/${volume.group}-${volume.volume}`;

/** What is there once a copy is whole: the file itself; a volume is there from the start, so a mark beside it says so. */
export const wholeSign = (place: Place): string =>
  place.volume === undefined ? place.path : `${besides(place)}.whole`;

export class Places {
  constructor(
    private readonly runScript: RunOnHost,
    readonly volumes: LogicalVolumes,
  ) {}

  /** What opens a volume must be root; files are left to whoever the way onto the host belongs to. */
  runAt(...places: readonly Place[]): RunOnHost {
    return places.some((p) => p.volume !== undefined) ? this.volumes.asRoot : this.runScript;
  }

  /** As seen from this host: elsewhere it is as weak as the locks, and a volume has none between hosts. Throws when it cannot be told. */
  async sight(host: HostId, place: Place, signal: AbortSignal): Promise<FileSight> {
    const { volume, path, format, uuid } = place;
    if (volume === undefined) return probe(this.runScript, host, path, format, signal);
    const seen = await this.volumes.find(host, volume, signal);
    if (seen === undefined) return 'absent';
    const strange = (detail: string): DriverFault =>
      new DriverFault('HOST_COMMAND_FAILED', { host, detail: `${path} ${detail}` });
    if (uuid !== undefined && seen.uuid !== uuid) throw strange(`is another volume now: ${seen.uuid}`);
    if (!seen.active) return 'free';
    const { code, stdout } = await this.volumes.asRoot(host, probeFile, [path, format], probeMs, signal);
    const said = stdout.trim();
    if (code !== 0 || (said !== 'free' && said !== 'held')) throw strange(`cannot be looked at: ${said}`);
    // Open and not locked: somebody who is no QEMU has it.
    return seen.open ? 'held' : said;
  }

  /** Why a volume stays although nothing needs it any more; undefined for what may be removed, files among it. */
  async mustStay(host: HostId, { volume }: Place, signal: AbortSignal): Promise<string | undefined> {
    if (volume === undefined) return undefined;
    const seen = await this.volumes.find(host, volume, signal);
    if (seen === undefined) return undefined;
    if (seen.hasSnapshots) return 'it has snapshots, which would go with it';
    if (seen.tags.some((t) => this.volumes.isOwnTag(t))) return undefined;
    return 'VMedic has not made this logical volume, and removes none that it has not made';
  }

  /** A source that is not active is read under our mark. @returns why it cannot be. */
  async open(host: HostId, { volume, uuid }: Place, signal: AbortSignal): Promise<string | undefined> {
    if (volume === undefined || uuid === undefined) return undefined;
    return this.volumes.activate(host, volume, uuid, signal);
  }

  async shut(host: HostId, { volume, uuid }: Place, signal: AbortSignal): Promise<void> {
    if (volume !== undefined && uuid !== undefined) await this.volumes.deactivate(host, volume, uuid, signal);
  }

  /** A target volume must be there before anything is copied to it; a file is made by what copies. @returns why it is not there. */
  async make(parts: Parts, { target, bytes }: Part, signal: AbortSignal): Promise<string | undefined> {
    if (target.volume === undefined) return undefined;
    const why = await this.volumes.make(
      parts.hostId,
      target.volume,
      bytes,
      this.volumes.tagOf(parts.attempt),
      signal,
    );
    return why === undefined ? undefined : `${target.path}: ${why}`;
  }

  /** Removes one end, if nobody has it open, and what stood beside the target. Gone already is well. @returns why it was not removed. */
  async remove(
    parts: Parts,
    part: Part,
    what: 'source' | 'copy',
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { hostId, attempt } = parts;
    const place = what === 'copy' ? part.target : part.source;
    const { volume } = place;
    // Of a volume the script removes nothing but what was kept about its copy.
    const file = volume === undefined ? place.path : '';
    const run = this.runAt(part.source, part.target);
    const end = await run(hostId, removeFile, [file, place.format, besides(part.target)], probeMs, signal);
    if (end.code !== 0) return end.stdout.trim() || end.stderr.trim();
    if (volume === undefined) return undefined;
    const seen = await this.volumes.find(hostId, volume, signal);
    if (seen === undefined) return undefined;
    if (place.uuid !== undefined && seen.uuid !== place.uuid) return `it is another volume now: ${seen.uuid}`;
    const tag =
      what === 'copy' ? this.volumes.tagOf(attempt) : seen.tags.find((t) => this.volumes.isOwnTag(t));
    if (tag === undefined || !seen.tags.includes(tag)) return 'VMedic has not made this logical volume';
    return this.volumes.drop(hostId, volume, seen, tag, signal);
  }
}

/** Whether a definition means this end: its path, opened in the format that it has. */
export const isSameDisk = (
  disk: { readonly path: string; readonly format: string } | undefined,
  place: Place,
): boolean => disk?.path === place.path && disk.format === place.format;
