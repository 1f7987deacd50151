/** Looks at many disks by one command on the host. */
import type { DiskSight } from '../../activities/ports';
import type { VmDisk } from '../../domain/records';

/**
 * Each path is read for one block by a process of its own and reported with its number, so that one hung disk hides none of the others:
 * it is the one that is not reported. Reading takes no lock. The last line says that all of them were asked.
 */
export const lookScript = `
n=0
for path in "$@"; do
  (
    if [ ! -e "$path" ]; then echo "$n missing"
    elif said=$(dd if="$path" of=/dev/null bs=4096 count=1 2>&1); then echo "$n usable"
    else echo "$n unreadable $(printf '%s' "$said" | head -n 1 | tr -cd '[:print:]')"
    fi
  ) &
  n=$((n + 1))
done
wait
echo done
`;

/** Paths that only QEMU itself can open (rbd:..., iscsi:..., pool/volume) say nothing to a shell. */
const isFile = (path: string): boolean => path.startsWith('/');

export const pathsToLookAt = (disks: readonly VmDisk[]): string[] => [
  ...new Set(disks.map((d) => d.path).filter(isFile)),
];

export function sightsFrom(
  disks: readonly VmDisk[],
  paths: readonly string[],
  printed: string,
  waitedMs: number,
): DiskSight[] {
  const seen = new Map<string, DiskSight>();
  for (const line of printed.split('\n')) {
    const found = /^(\d+) (usable|missing|unreadable) ?(.*)$/.exec(line);
    const path = found === null ? undefined : paths[Number(found[1])];
    if (found === null || path === undefined) continue;
    if (found[2] === 'usable') seen.set(path, { path, seen: 'usable' });
    else if (found[2] === 'missing')
      seen.set(path, { path, seen: 'missing', detail: 'no such file or device' });
    else
      seen.set(path, {
        path,
        seen: 'unreadable',
        detail: found[3] === '' ? 'reading failed' : String(found[3]),
      });
  }
  return disks.map(({ path }): DiskSight => {
    if (!isFile(path))
      return { path, seen: 'unreadable', detail: 'not a file or device: this driver cannot look at it' };
    return (
      seen.get(path) ?? { path, seen: 'hung', detail: `reading one block took more than ${waitedMs} ms` }
    );
  });
}
