/** What moves need of logical volumes: given by whoever composes drivers, because no driver borrows from another. */
import type { HostId } from '../../domain/ids';
import type { RunOnHost } from '../child-processes/on-host';

export interface VolumeNames {
  readonly group: string;
  readonly volume: string;
}

export interface SeenVolume {
  readonly name: string;
  readonly uuid: string;
  readonly bytes: number;
  readonly active: boolean;
  /** Somebody on this host has it open. */
  readonly open: boolean;
  readonly tags: readonly string[];
  /** They would go with it. */
  readonly hasSnapshots: boolean;
}

export interface SeenGroup {
  readonly extentBytes: number;
  readonly freeBytes: number;
  readonly missingDisks: number;
  /** Several hosts may change it at once. */
  readonly guarded: boolean;
  readonly volumes: readonly SeenVolume[];
}

/** Acts return why they came to nothing, read back; undefined when they are done, also when they were done before. */
export interface LogicalVolumes {
  /** What opens a volume must be root. */
  readonly asRoot: RunOnHost;
  /** Undefined for a path that names none. */
  namesIn(path: string): VolumeNames | undefined;
  /** What a volume made by this attempt bears from its first moment on. */
  tagOf(attempt: string): string;
  isOwnTag(tag: string): boolean;
  /** Read whole. Throws `HOST_COMMAND_FAILED`, also when there is no such group: then nothing is known of its volumes. */
  group(host: HostId, name: string, signal: AbortSignal): Promise<SeenGroup>;
  find(host: HostId, names: VolumeNames, signal: AbortSignal): Promise<SeenVolume | undefined>;
  make(
    host: HostId,
    names: VolumeNames,
    bytes: number,
    tag: string,
    signal: AbortSignal,
  ): Promise<string | undefined>;
  activate(host: HostId, names: VolumeNames, uuid: string, signal: AbortSignal): Promise<string | undefined>;
  /** Only what is active by our mark. */
  deactivate(host: HostId, names: VolumeNames, uuid: string, signal: AbortSignal): Promise<void>;
  /** Only what bears this tag and nobody has open. */
  drop(
    host: HostId,
    names: VolumeNames,
    seen: SeenVolume,
    tag: string,
    signal: AbortSignal,
  ): Promise<string | undefined>;
}
