/** What an NFS server's kernel says of locks, read by one script over its shell. */

/** An image as the server's file system knows it; undefined where there is no such file. */
export interface FileIdentity {
  readonly device: string;
  readonly inode: string;
}

export interface LockedRange {
  readonly file: FileIdentity;
  readonly range: string;
  /** The process on the server that took it; the kernel's own for a client that speaks NFS. */
  readonly pid: string;
}

/** A client that the server's statd watches: the file's name, and the name inside it, which statd compares with. */
export interface MonitoredClient {
  readonly file: string;
  readonly monName: string;
}

export interface ServerTable {
  readonly files: readonly (FileIdentity | undefined)[];
  readonly locks: readonly LockedRange[];
  readonly monitored: readonly MonitoredClient[];
}

/** Prints the files' identities in order, then the kernel's lock table, then whom statd watches. Reads only. */
export const tableScript = `
for path in "$@"; do stat -c 'file %d %i' -- "$path" 2>/dev/null || echo 'file - -'; done
sed 's/^/lock /' /proc/locks || exit 4
for folder in /var/lib/nfs/sm /var/lib/nfs/statd/sm; do
  for record in "$folder"/*; do
    [ ! -f "$record" ] || echo "monitored \${record##*/} $(cat "$record")"
  done
done
echo complete
`;

/** @throws when the output was cut short: half a lock table looks like free images. */
export function tableFrom(printed: string): ServerTable {
  const lines = printed.trimEnd().split('\n');
  if (lines.at(-1) !== 'complete') throw new Error('the lock table of the server was cut short');
  const files: (FileIdentity | undefined)[] = [];
  const locks: LockedRange[] = [];
  const monitored: MonitoredClient[] = [];
  for (const line of lines) {
    const [kind, ...words] = line.split(/\s+/);
    if (kind === 'file') files.push(identityOf(words[0] ?? '-', words[1] ?? '-'));
    if (kind === 'lock') locks.push(...lockOf(words));
    // File name, four numbers, a cookie, the monitored name, and the server's own (nfs-utils, support/nsm/file.c).
    if (kind === 'monitored' && words[0] !== undefined)
      monitored.push({ file: words[0], monName: words[6] ?? words[0] });
  }
  return { files, locks, monitored };
}

/** `stat` gives a device as one decimal number, nfsd and /proc/locks as two in hexadecimal (glibc, sys/sysmacros.h). */
export function identityOf(device: string, inode: string): FileIdentity | undefined {
  if (!/^\d+$/.test(device) || !/^\d+$/.test(inode)) return undefined;
  const number = BigInt(device);
  const hex = (value: bigint): string => value.toString(16).padStart(2, '0');
  const major = (number >> 8n) & 0xfffn;
  const minor = (number & 0xffn) | ((number >> 12n) & 0xfff00n);
  return { device: `${hex(major)}:${hex(minor)}`, inode };
}

/** `1: POSIX  ADVISORY  READ 512 fe:10:12 100 101`; a line with an arrow waits for a lock and holds none. */
export function lockOf(words: readonly string[]): LockedRange[] {
  const [, kind, , mode, pid = '?', where, start, end] = words;
  if (words.includes('->') || kind === undefined || !/^(POSIX|OFDLCK|FLOCK)$/.test(kind)) return [];
  const place = /^([0-9a-f]+:[0-9a-f]+):(\d+)$/.exec(where ?? '');
  if (place === null) return [];
  const file = { device: place[1] as string, inode: place[2] as string };
  return [{ file, range: `${mode?.toLowerCase()} ${start}-${end}`, pid }];
}

export const sameFile = (a: FileIdentity | undefined, b: FileIdentity): boolean =>
  a?.inode === b.inode && a.device === b.device;
