/**
 * What a Linux NFS server exports to whom, and how one host loses its right to write there. Theory of operation: an entry for exactly one
 * address stands above networks, wildcards and everybody (exports(5)), so that one such entry with `ro` takes the write access of one host and
 * touches no other entry. Only the running table is changed (exportfs(8), `-i`), never a file of the server: a reboot of it, or `exportfs -r`,
 * is back at what its administrator wrote. What stood there before is kept under `/run` of the server, which forgets it together with the table.
 */
import { BlockList, isIP } from 'node:net';

export interface ExportEntry {
  readonly path: string;
  /** A name, an address, a network, a netgroup, a pattern, or `*`. */
  readonly client: string;
  readonly options: string;
}

/** What stood there before a cut; `options` undefined where nothing did. */
export interface CutMark {
  readonly path: string;
  readonly client: string;
  readonly options: string | undefined;
}

export interface ExportTable {
  readonly entries: readonly ExportEntry[];
  /** Addresses of clients that are exported to by name, as the server resolves them. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  /** Exports that the kernel has in use, each for the clients that it counts as one. */
  readonly live: readonly {
    readonly path: string;
    readonly clients: readonly string[];
    readonly writable: boolean;
  }[];
  /** As what the kernel knows an address. */
  readonly known: readonly { readonly address: string; readonly clients: readonly string[] }[];
  readonly marks: readonly CutMark[];
}

/** One entry to be written so that the host cannot write. */
export interface CutTarget {
  readonly path: string;
  readonly client: string;
  /** The host's own entry now. */
  readonly own: string | undefined;
  readonly readOnly: string;
}

const markFolder = '/run/vmedic/exports';
const nothing = '-';

/** `$1`: the host's id. Reads only. */
export const exportsScript = `
export LC_ALL=C
said=$(exportfs -s) || { echo 'exportfs -s fails there' >&2; exit 3; }
printf '%s\\n' "$said" | sed 's/^/export /'
for name in $(printf '%s\\n' "$said" | sed -n 's/^[^[:space:]]*[[:space:]]*\\([A-Za-z0-9][A-Za-z0-9.-]*\\)(.*$/\\1/p' | grep -v '^[0-9.]*$' | sort -u); do
  echo "name $name $(timeout 3 getent ahosts "$name" | awk '{ print $1 }' | sort -u | tr '\\n' ' ')"
done
sed 's/^/live /' /proc/fs/nfsd/exports 2>/dev/null
sed 's/^/known /' /proc/net/rpc/auth.unix.ip/content 2>/dev/null
sed 's/^/mark /' "${markFolder}/$1" 2>/dev/null
echo complete
`;

/** `$1`: the host's id; then five words for each entry. What stood there is written down before it is changed, once. */
export const cutScript = `
mark=${markFolder}/$1
shift
mkdir -p ${markFolder} || exit 4
while [ $# -ge 5 ]; do
  path=$1 client=$2 before=$3 spec=$4 options=$5
  shift 5
  awk -v p="$path" -v c="$client" '$1 == p && $2 == c { found = 1 } END { exit !found }' "$mark" 2>/dev/null ||
    printf '%s %s %s\\n' "$path" "$client" "$before" >>"$mark" || exit 4
  exportfs -i -o "$options" "$spec" || exit 5
done
`;

/** Two words for each entry: what it is, and the options it had; "-" for one that was not there. */
export const restoreScript = `
while [ $# -ge 2 ]; do
  if [ "$2" = ${nothing} ]; then exportfs -u "$1" || exit 5; else exportfs -i -o "$2" "$1" || exit 5; fi
  shift 2
done
`;

/** `$1`: the host's id; then path and client of each entry that is as it was. */
export const forgetScript = `
mark=${markFolder}/$1
shift
while [ $# -ge 2 ]; do
  awk -v p="$1" -v c="$2" '!($1 == p && $2 == c)' "$mark" >"$mark.new" && mv "$mark.new" "$mark" || exit 4
  shift 2
done
[ -s "$mark" ] || rm -f "$mark"
`;

/** @throws when the output was cut short: half a table looks like a host that nothing is exported to. */
export function exportsFrom(printed: string): ExportTable {
  const lines = printed.trimEnd().split('\n');
  if (lines.at(-1) !== 'complete') throw new Error('the table of exports was cut short');
  const said = (kind: string): string[] =>
    lines.filter((l) => l.startsWith(`${kind} `)).map((l) => l.slice(kind.length + 1));
  return {
    entries: said('export').flatMap(entryOf),
    addresses: new Map(
      said('name').map((l) => {
        const [name, ...addresses] = l.trim().split(/\s+/);
        return [name ?? '', addresses];
      }),
    ),
    // A line with "#" is no export: a title, or one that is not valid any more.
    live: said('live').flatMap((l) =>
      entryOf(l).map(({ path, client, options }) => ({
        ...{ path, clients: client.split(',') },
        writable: isWritable(options),
      })),
    ),
    known: said('known').flatMap((l) => {
      const [kind, address, domain] = l.split(/\s+/);
      if (kind !== 'nfsd' || address === undefined || domain === undefined) return [];
      return [{ address, clients: domain.split(',') }];
    }),
    marks: said('mark').flatMap((l) => {
      const [path, client, options] = l.split(' ');
      if (path === undefined || client === undefined || options === undefined) return [];
      return [{ path, client, options: options === nothing ? undefined : options }];
    }),
  };
}

/** `/srv/vm   10.0.0.0/24(sync,wdelay,no_subtree_check,sec=sys,rw,secure)` */
function entryOf(line: string): ExportEntry[] {
  const [, path, client, options] = /^(\/\S*)\s+([^\s(]+)\((\S*)\)$/.exec(line.trim()) ?? [];
  return path === undefined || client === undefined ? [] : [{ path, client, options: options ?? '' }];
}

/** Options stand once for each way of authentication; one that may write is enough. */
const isWritable = (options: string): boolean => options.split(',').includes('rw');

const readOnly = (options: string): string =>
  options
    .split(',')
    .map((o) => (o === 'rw' ? 'ro' : o))
    .join(',');

/** Exports through which the folder's files are reached: its own, those it lies in, and those that lie in it. */
export function overlaps(path: string, folder: string): boolean {
  const within = (inner: string, outer: string): boolean =>
    `${inner.replace(/\/+$/, '')}/`.startsWith(`${outer.replace(/\/+$/, '')}/`);
  return within(path, folder) || within(folder, path);
}

const addressesOf = (table: ExportTable, client: string): readonly string[] => [
  client,
  ...(table.addresses.get(client) ?? []),
];

/**
 * The entries that decide whether the host may write to the folder, one for each of its addresses and each export. `names`: every name and
 * address under which the server knows it. None: nothing there is exported to it.
 */
export function cutTargets(table: ExportTable, folder: string, names: readonly string[]): CutTarget[] {
  const isOwn = (client: string): boolean => addressesOf(table, client).some((a) => names.includes(a));
  const addresses = names.filter((n) => isIP(n) !== 0);
  const paths = new Set(table.entries.map((e) => e.path).filter((path) => overlaps(path, folder)));
  return [...paths].flatMap((path): CutTarget[] => {
    const here = table.entries.filter((e) => e.path === path);
    const own = here.filter((e) => isOwn(e.client));
    const broad = here.find((e) => !isOwn(e.client) && mayAdmit(e.client, addresses));
    const uncovered = (addresses.length > 0 ? addresses : names).filter(
      (a) => !own.some((e) => addressesOf(table, e.client).includes(a)),
    );
    return [
      ...own.map((e) => ({
        ...{ path, client: e.client, own: e.options },
        readOnly: readOnly(e.options),
      })),
      ...(broad === undefined ? [] : uncovered).map((client) => ({
        ...{ path, client, own: undefined },
        readOnly: readOnly(broad?.options ?? ''),
      })),
    ];
  });
}

/** Whether an entry for many may let the host in. What only the server can tell (netgroups, patterns of names) may. */
function mayAdmit(client: string, addresses: readonly string[]): boolean {
  if (client === '*' || /^[@.]|[*?[]/.test(client)) return true;
  const [network, mask] = client.split('/');
  if (network === undefined || mask === undefined || isIP(network) === 0) return false;
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
  const bits = isIP(mask) === 4 ? bitsOf(mask) : Number(mask);
  const most = family === 'ipv6' ? 128 : 32;
  // A mask that cannot be read rules nobody out.
  if (!Number.isInteger(bits) || bits < 0 || bits > most) return true;
  const list = new BlockList();
  list.addSubnet(network, bits, family);
  return addresses.length === 0 || addresses.some((a) => list.check(a, isIP(a) === 6 ? 'ipv6' : 'ipv4'));
}

const bitsOf = (mask: string): number =>
  mask.split('.').reduce((sum, byte) => sum + Number(byte).toString(2).replaceAll('0', '').length, 0);

/** Why the host's writes may still be taken; undefined when none is. `targets` are of the same table. */
export function whyOpen(
  table: ExportTable,
  targets: readonly CutTarget[],
  names: readonly string[],
): string | undefined {
  const open = targets.find((t) => t.own === undefined || isWritable(t.own));
  if (open !== undefined) return `${open.path} is exported to it for writing`;
  const its = (clients: readonly string[]): boolean =>
    clients.some((c) => names.includes(c) || targets.some((t) => t.client === c));
  const used = table.live.find((l) => l.writable && its(l.clients) && targets.some((t) => t.path === l.path));
  if (used !== undefined) return `the kernel has ${used.path} in use for it, for writing`;
  // nfsd counts a client as the list of entries that it matches (mountd, client_compose); "$" stands before an address alone.
  const old = table.known.find(
    (k) => names.includes(k.address) && !its(k.clients) && !k.clients.some((c) => c.startsWith('$')),
  );
  return old === undefined ? undefined : `the kernel still knows ${old.address} by its former exports`;
}

/** As exportfs takes it. */
export const specOf = ({ client, path }: Pick<ExportEntry, 'client' | 'path'>): string =>
  `${isIP(client) === 6 ? `[${client}]` : client}:${path}`;

/** The words of `cutScript` for what is not cut yet. */
export const cutWords = (targets: readonly CutTarget[]): string[] =>
  targets
    .filter((t) => t.own === undefined || isWritable(t.own))
    .flatMap((t) => [t.path, t.client, t.own ?? nothing, specOf(t), t.readOnly]);

/** The words of `restoreScript`: only what stands there as a cut left it. What somebody has changed since is his. */
export const restoreWords = (table: ExportTable, marks: readonly CutMark[]): string[] =>
  marks.flatMap((mark) => {
    const now = table.entries.find(
      (e) => e.path === mark.path && addressesOf(table, e.client).includes(mark.client),
    );
    if (now === undefined || isWritable(now.options)) return [];
    return [specOf(mark), mark.options ?? nothing];
  });
