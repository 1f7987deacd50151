/** One look into a host by one script: what it prints is lines of a kind and its fields, so that a missing command spoils nothing else. */
import type { CommandFact, HostSurvey, MountFact } from '../../domain/readiness';
import type { Pool } from '../../domain/fleet';

/**
 * Programs that restart VMs or fence hosts by themselves, by one whole argument of their command line. A letter of each is in brackets, so
 * that this script, which is an argument itself, is none of them.
 */
const rivals = [
  { name: 'CloudStack agent', pattern: '^com[.]cloud[.]agent[.]AgentShell$|(^|/)cloudstack-agen[t] *$' },
  { name: 'vdsm (oVirt)', pattern: '(^|/)vdsm[d] *$' },
  { name: 'oVirt hosted engine HA', pattern: '(^|/)ovirt-ha-agen[t] *$' },
  { name: 'Pacemaker', pattern: '(^|/)pacemaker[d] *$' },
  { name: 'Proxmox VE HA (pve-ha)', pattern: '(^|/)pve-ha-[cl]r[m] *$' },
  {
    name: 'Masakari monitor',
    pattern: '(^|/)masakari-(host|instance|process|introspectiveinstance)monito[r] *$',
  },
] as const;

/** Arguments: a program more that must be there, or nothing; then the pools' folders. Looks at nothing else, writes nothing, takes no lock. */
export const surveyScript = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
version() { printf 'command\\t%s\\t%s\\n' "$1" "$(printf '%s' "$2" | tr '\\t' ' ' | head -n 1)"; }
said() { command -v "$1" >/dev/null 2>&1 && "$@" 2>/dev/null </dev/null | head -n 1; }
version virsh "$(said virsh --version)"
qemu=
for q in qemu-system-$(uname -m) qemu-system-x86_64 qemu-kvm /usr/libexec/qemu-kvm /usr/bin/kvm; do
  qemu=$(said "$q" --version) && [ -n "$qemu" ] && break
done
version qemu "$qemu"
version qemu-img "$(said qemu-img --version)"
version qemu-io "$(said qemu-io --version)"
[ -z "$1" ] || version "$1" "$(said "$1" --version)"
shift
version findmnt "$(said findmnt --version)"
version flock "$(said flock --version)"
arguments=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\000' '\\n')
${rivals
  .map(
    ({ name, pattern }) =>
      `printf '%s\\n' "$arguments" | grep -aqE '${pattern}' && printf 'rival\\t%s\\n' '${name}'`,
  )
  .join('\n')}
for f in /proc/[0-9]*/comm; do read -r comm <"$f" && [ "$comm" = rpc.statd ] && echo statd && break; done 2>/dev/null
sed 's/^/mounted\\t/' /proc/self/mounts
[ -r /etc/fstab ] && sed -n 's/^[[:space:]]*\\([^#[:space:]].*\\)/fstab\\t\\1/p' /etc/fstab
for p in "$@"; do [ -d "$p" ] && printf 'folder\\t%s\\n' "$p"; done
echo end
`;

interface Mounted {
  readonly source: string;
  readonly at: string;
  readonly fileSystem: string;
  readonly options: readonly string[];
}

/** Undefined when the text does not reach to its end. */
export function surveyFrom(
  printed: string,
  pools: readonly Pool[],
  lvm: HostSurvey['lvm'],
): HostSurvey | undefined {
  const rows = printed.split('\n').map((line) => line.split('\t'));
  const of = (kind: string): string[][] => rows.filter((r) => r[0] === kind).map((r) => r.slice(1));
  if (!rows.some((r) => r[0] === 'end')) return undefined;
  const mounted = of('mounted').flatMap(([line = '']) => tableLine(line));
  const fstab = of('fstab').flatMap(([line = '', ...rest]) => tableLine([line, ...rest].join(' ')));
  const folders = of('folder').map(([path]) => path);
  return {
    commands: of('command').map(([name = '', text = '']): CommandFact => ({
      name,
      version: versionIn(text),
    })),
    rivals: of('rival').map(([name = '']) => name),
    statd: of('statd').length > 0,
    mounts: pools.flatMap((pool) => mountFact(pool, mounted, fstab, folders)),
    lvm,
  };
}

/** "QEMU emulator version 7.2.22 (Debian ...)", "9.0.0". Found, but of no version that can be read: 0 would be called old. */
const versionIn = (text: string): string | undefined =>
  text === '' ? undefined : (/(\d+\.\d+(\.\d+)*)/.exec(text)?.[1] ?? 'unknown');

/** Blanks in a path are written `\040` in both tables. */
const plain = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

function tableLine(line: string): Mounted[] {
  const [source, at, fileSystem, options] = line.trim().split(/\s+/);
  if (source === undefined || at === undefined || fileSystem === undefined) return [];
  return [{ source: plain(source), at: plain(at), fileSystem, options: (options ?? '').split(',') }];
}

function mountFact(
  pool: Pool,
  mounted: readonly Mounted[],
  fstab: readonly Mounted[],
  folders: readonly (string | undefined)[],
): MountFact[] {
  if (pool.path === undefined || pool.type === 'lvm') return [];
  const path = pool.path.replace(/\/+$/, '');
  const under = mounted.filter((m) => path === m.at || path.startsWith(m.at === '/' ? '/' : `${m.at}/`));
  // The longest mount point wins, and of two on one point the later one covers the earlier.
  const longest = Math.max(0, ...under.map((m) => m.at.length));
  const mount = under.filter((m) => m.at.length === longest).at(-1);
  const own = mount !== undefined && (mount.at === path || /^nfs4?$/.test(mount.fileSystem));
  const kind = own ? 'mount' : folders.includes(pool.path) ? 'folder' : 'none';
  return [
    {
      ...{ poolId: pool.id, path: pool.path, kind },
      source: mount?.source ?? '',
      fileSystem: mount?.fileSystem ?? '',
      options: mount?.options ?? [],
      fstabOptions: own ? fstab.find((f) => f.at === mount.at)?.options : undefined,
    },
  ];
}
