/** What LVM says of itself on one host, as JSON: warnings go elsewhere, and no column can be mistaken for another. */

export interface VolumeGroup {
  readonly uuid: string;
  readonly name: string;
  readonly missingPvs: number;
  /** Undefined where LVM is too old to have the setting. */
  readonly autoActivation: boolean | undefined;
  /** Guarded between hosts by lvmlockd (sanlock or dlm). */
  readonly clustered: boolean;
}

export interface LogicalVolume {
  readonly uuid: string;
  readonly name: string;
  readonly groupUuid: string;
  readonly groupName: string;
  readonly active: boolean;
  /** LVM could not ask its kernel: empty columns say nothing then. */
  readonly stateUnknown: boolean;
  readonly open: boolean;
  /** Some of it lies on physical volumes that are missing. */
  readonly partial: boolean;
}

export interface PhysicalVolume {
  readonly uuid: string;
  readonly groupUuid: string;
  readonly missing: boolean;
}

export interface LvmReport {
  readonly groups: readonly VolumeGroup[];
  readonly volumes: readonly LogicalVolume[];
  readonly physical: readonly PhysicalVolume[];
}

/** Three reports after one another. A host that has the setting says how it stands; an older one is asked without. */
export const reportScript = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
command -v vgs >/dev/null 2>&1 || { echo 'LVM is not installed there' >&2; exit 127; }
groups=vg_uuid,vg_name,vg_missing_pv_count,vg_lock_type
said=$(vgs --reportformat json -o $groups,vg_autoactivation 2>/dev/null) || said=$(vgs --reportformat json -o $groups)
printf '%s\\n' "$said"
lvs --reportformat json -o vg_uuid,vg_name,lv_uuid,lv_name,lv_active,lv_device_open,lv_attr
pvs --reportformat json -o vg_uuid,pv_uuid,pv_missing
:
`;

type Row = Readonly<Record<string, string>>;

/** Undefined when not all three were printed whole. */
export function reportFrom(printed: string): LvmReport | undefined {
  const documents = documentsIn(printed);
  const rows = (kind: string): Row[] | undefined => documents.find((d) => kind in d)?.[kind];
  const [vg, lv, pv] = [rows('vg'), rows('lv'), rows('pv')];
  if (vg === undefined || lv === undefined || pv === undefined) return undefined;
  return {
    groups: vg.map((g) => ({
      uuid: of(g, 'vg_uuid'),
      name: of(g, 'vg_name'),
      missingPvs: Number(of(g, 'vg_missing_pv_count')),
      // A word where it is on, nothing where it is off.
      autoActivation: g['vg_autoactivation'] === undefined ? undefined : g['vg_autoactivation'] !== '',
      clustered: !['', 'none'].includes(of(g, 'vg_lock_type')),
    })),
    volumes: lv.map((v) => ({
      uuid: of(v, 'lv_uuid'),
      name: of(v, 'lv_name'),
      groupUuid: of(v, 'vg_uuid'),
      groupName: of(v, 'vg_name'),
      active: of(v, 'lv_active') === 'active',
      stateUnknown: of(v, 'lv_attr')[4] === 'X',
      open: of(v, 'lv_device_open') === 'open',
      partial: of(v, 'lv_attr')[8] === 'p',
    })),
    physical: pv.map((p) => ({
      uuid: of(p, 'pv_uuid'),
      groupUuid: of(p, 'vg_uuid'),
      missing: of(p, 'pv_missing') !== '',
    })),
  };
}

const of = (row: Row, name: string): string => row[name] ?? '';

/** Each report is `{"report": [{"vg": [...]}]}`; one that is cut short is none. */
function documentsIn(printed: string): Record<string, Row[]>[] {
  const found: Record<string, Row[]>[] = [];
  let depth = 0;
  let start = 0;
  let inText = false;
  for (let i = 0; i < printed.length; i++) {
    const c = printed[i];
    if (inText) {
      if (c === '\\') i += 1;
      else if (c === '"') inText = false;
    } else if (c === '"') inText = depth > 0;
    else if (c === '{') {
      if (depth === 0) start = i;
      depth += 1;
    } else if (c === '}') {
      depth -= 1;
      if (depth === 0)
        found.push(
          ...(JSON.parse(printed.slice(start, i + 1)) as { report: Record<string, Row[]>[] }).report,
        );
    }
  }
  return found;
}

/** `/dev/vg/lv` or `/dev/mapper/vg-lv`, where a dash within a name is doubled. Undefined for any other path: no device name is followed. */
export function namesIn(path: string): { readonly group: string; readonly volume: string } | undefined {
  const mapped = /^\/dev\/mapper\/((?:[^-/]|--)+)-((?:[^-/]|--)+)$/.exec(path);
  if (mapped !== null)
    return {
      group: String(mapped[1]).replaceAll('--', '-'),
      volume: String(mapped[2]).replaceAll('--', '-'),
    };
  const plain = /^\/dev\/([^/]+)\/([^/]+)$/.exec(path);
  if (plain === null || plain[1] === 'mapper' || plain[1] === 'disk') return undefined;
  return { group: String(plain[1]), volume: String(plain[2]) };
}
