/**
 * Volumes that a move of a disk makes and removes. Theory of operation: a volume that we make carries a tag of ours from the very metadata change that
 * makes it, so there is no moment at which it exists and nobody knows whose it is; only a volume that carries one is ever removed.
 */
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import type { RunOnHost } from '../child-processes';
import { activateScript, asRootScript, deactivateScript, valuesIn } from './activation-script';
import { namesIn } from './report';

const ownTags = 'vmedic.';

interface SeenVolume {
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

interface SeenGroup {
  readonly extentBytes: number;
  readonly freeBytes: number;
  readonly missingDisks: number;
  /** By lvmlockd: several hosts may change it. */
  readonly guarded: boolean;
  readonly volumes: readonly SeenVolume[];
}

interface VolumeNames {
  readonly group: string;
  readonly volume: string;
}

const nameOf = ({ group, volume }: VolumeNames): string => `${group}/${volume}`;

const readMs = 15_000;
const actMs = 30_000;

const head = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
`;

/** Argument: a group. Its own line, then one per volume, then `end`. */
const groupScript = `${head}
read='--noheadings --nosuffix --units b --separator |'
vgs $read -o vg_extent_size,vg_free,vg_missing_pv_count,vg_lock_type "$1" || exit 5
lvs $read -o lv_uuid,lv_size,lv_active,lv_device_open,lv_attr,lv_tags,origin,lv_name "$1" || exit 5
echo end
`;

/** Arguments: GROUP/VOLUME, bytes, tag. Nothing when it is there; what is there is read afterwards. */
const makeScript = `${head}
lvs "$1" >/dev/null 2>&1 && exit 0
lvcreate -q -y -an -Wn -Zn -L "$2b" -n "\${1#*/}" --addtag "$3" "\${1%/*}" >&2
`;

/** Arguments: GROUP/VOLUME, its uuid, our tag. `lvchange` refuses what somebody has open. */
const dropScript = `${head}
row=$(lvs --noheadings --separator '|' -o lv_uuid,lv_active,lv_tags "$1") || exit 4
row=$(printf '%s' "$row" | tr -d ' ')
[ "\${row%%|*}" = "$2" ] || { echo 'it is another volume now' >&2; exit 3; }
case ",\${row##*|}," in *",$3,"*) ;; *) echo 'it does not carry our tag' >&2; exit 3 ;; esac
snapshots=$(lvs --noheadings -o lv_name -S "origin='\${1#*/}'" "\${1%/*}") || exit 4
[ -z "$snapshots" ] || { echo "its snapshots would go with it:" $snapshots >&2; exit 3; }
lvchange -an "$1" >&2 || exit 3
lvremove -q -y "$1" >&2 || exit 4
rm -f "/run/vmedic/lvm/$2"
`;

/** @param runScript By which LVM is asked on its hosts. */
export const createMovedVolumes = (runScript: RunOnHost): MovedVolumes => new MovedVolumes(runScript);

export class MovedVolumes {
  constructor(private readonly runScript: RunOnHost) {}

  readonly namesIn = namesIn;

  /** What a volume made by this attempt of a move is tagged with. */
  readonly tagOf = (attempt: string): string => `${ownTags}${attempt}`;

  readonly isOwnTag = (tag: string): boolean => tag.startsWith(ownTags);

  /** Runs a script as root, as all that opens a volume must. */
  readonly asRoot: RunOnHost = (host, script, args, deadlineMs, signal) =>
    this.runScript(host, asRootScript, [script, ...args], deadlineMs, signal);

  /** Everything of one group, read whole. Throws `HOST_COMMAND_FAILED`, also when there is no such group: then nothing is known of its volumes. */
  async group(host: HostId, name: string, signal: AbortSignal): Promise<SeenGroup> {
    const end = await this.asRoot(host, groupScript, [name], readMs, signal);
    const seen = end.code === 0 ? groupFrom(end.stdout) : undefined;
    if (seen !== undefined) return seen;
    const detail = `volume group ${name} was not read to the end: ${lastLine(end.stderr)}`;
    throw new DriverFault('HOST_COMMAND_FAILED', { host, detail });
  }

  async find(host: HostId, names: VolumeNames, signal: AbortSignal): Promise<SeenVolume | undefined> {
    const { volumes } = await this.group(host, names.group, signal);
    return volumes.find((v) => v.name === names.volume);
  }

  /** Makes it, of exactly that size and under that tag, and activates it. Done already is well. @returns why it is not there. */
  async make(
    host: HostId,
    names: VolumeNames,
    bytes: number,
    tag: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const end = await this.asRoot(host, makeScript, [nameOf(names), String(bytes), tag], actMs, signal);
    const made = await this.find(host, names, signal);
    if (made === undefined) return `it could not be made: ${lastLine(end.stderr)}`;
    if (!made.tags.includes(tag)) return 'a volume of that name is there, and this order has not made it';
    if (made.bytes !== bytes) return `it has ${made.bytes} bytes, and the disk ${bytes}`;
    return this.activate(host, names, made.uuid, signal);
  }

  /** Under our mark, which lives until the next boot. @returns why it is not active. */
  async activate(
    host: HostId,
    names: VolumeNames,
    uuid: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { guarded } = await this.group(host, names.group, signal);
    const args = [nameOf(names), uuid, guarded ? '-aey' : '-ay'];
    const end = await this.asRoot(host, activateScript, args, actMs, signal);
    const said = valuesIn(end.stdout);
    if (said.get('after') === 'active' && said.get('node') === 'yes') return undefined;
    return `/dev/${nameOf(names)} cannot be used: ${lastLine(end.stderr) || 'it stays inactive, or has no device'}`;
  }

  /** Only what is active by our mark; what somebody has open stays so. */
  async deactivate(host: HostId, names: VolumeNames, uuid: string, signal: AbortSignal): Promise<void> {
    await this.asRoot(host, deactivateScript, [nameOf(names), uuid], actMs, signal);
  }

  /** Removes a volume that carries this tag and that nobody has open; read back. @returns why it is still there. */
  async drop(
    host: HostId,
    names: VolumeNames,
    seen: SeenVolume,
    tag: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const end = await this.asRoot(host, dropScript, [nameOf(names), seen.uuid, tag], actMs, signal);
    const after = await this.find(host, names, signal);
    return after === undefined ? undefined : lastLine(end.stderr) || 'LVM did not say why';
  }
}

function groupFrom(printed: string): SeenGroup | undefined {
  const lines = printed
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const [first, ...volumes] = lines.slice(0, -1).map((line) => line.split('|'));
  if (first === undefined || lines.at(-1) !== 'end') return undefined;
  const [extent, free, missing, lock = ''] = first;
  // The fifth letter of a volume's attributes: LVM could not ask its kernel.
  if (volumes.some((v) => v[4]?.[4] === 'X')) return undefined;
  const origins = new Set(volumes.map((v) => v[6]));
  return {
    ...{ extentBytes: Number(extent), freeBytes: Number(free), missingDisks: Number(missing) },
    guarded: !['', 'none'].includes(lock),
    volumes: volumes.map(([uuid = '', bytes, active, open, , tags = '', , name = '']) => ({
      ...{ name, uuid, bytes: Number(bytes), active: active === 'active', open: open === 'open' },
      tags: tags.split(',').filter((t) => t !== ''),
      hasSnapshots: origins.has(name),
    })),
  };
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.trim() ?? '';
