/** What a host finds when it looks at images of a pool: mounted as declared, readable, and free to lock. One script for all of them. */

export type TargetSight =
  | { readonly path: string; readonly says: 'free' | 'held' | 'missing' | 'hung' }
  | {
      readonly path: string;
      readonly says: 'unguarded' | 'not-mounted' | 'unreadable';
      readonly detail: string;
    };

/**
 * Each path by a process of its own, so that one that hangs hides none of the others. The lock is asked for whole and exclusive by flock(1),
 * which an NFS client turns into a lock at the server (nfs(5)): it is *taken*, for a moment, because servers were seen that answer a mere
 * test wrongly. Of one that several VMs may have open (`shared:` before its path) no lock is asked for. Nothing is written. A mount without locks between hosts would answer "free" to anybody, so its options are looked at first.
 */
export const targetScript = `
look() {
  lock=yes
  case $1 in shared:*) lock=no; set -- "\${1#shared:}" ;; esac
  for name in findmnt flock; do
    command -v $name >/dev/null 2>&1 || { echo "unreadable its host has no $name"; return; }
  done
  mount=$(timeout -s KILL 5 findmnt -n -o FSTYPE,OPTIONS --target "$1") || { [ $? = 1 ] && echo missing || echo hung; return; }
  case $mount in
    nfs*) ;;
    *) echo "not-mounted \${mount%% *}"; return ;;
  esac
  for option in $(echo "\${mount#* }" | tr , ' '); do
    case $option in nolock | local_lock=all | local_lock=flock | local_lock=posix) echo "unguarded $option"; return ;; esac
  done
  timeout -s KILL 5 test -f "$1"
  case $? in 0) ;; 137 | 124) echo hung; return ;; *) echo missing; return ;; esac
  said=$(timeout -s KILL 5 dd if="$1" of=/dev/null bs=4096 count=1 2>&1)
  case $? in 0) ;; 137 | 124) echo hung; return ;; *) echo "unreadable $(printf %s "$said" | head -n 1 | tr -cd '[:print:]')"; return ;; esac
  [ $lock = yes ] || { echo free; return; }
  # flock(1) would create a file that was removed meanwhile, empty. Opened for reading first, and that very one again for writing, none is.
  said=$(timeout -s KILL 8 sh -c 'exec 8<"$1" 9<>/proc/self/fd/8; exec flock -x -n -E 75 9' sh "$1" 2>&1)
  case $? in
    0) echo free ;;
    75) echo held ;;
    137 | 124) echo hung ;;
    *) echo "unreadable $(printf %s "$said" | head -n 1 | tr -cd '[:print:]')" ;;
  esac
}
n=0
for path in "$@"; do
  (echo "$n $(look "$path")") &
  n=$((n + 1))
done
wait
echo complete
`;

/** A path that was not reported hangs: its process is the one that did not come to its end. */
export function sightsFrom(paths: readonly string[], printed: string): TargetSight[] {
  const said = new Map<number, string>();
  for (const line of printed.split('\n')) {
    const found = /^(\d+) (.+)$/.exec(line);
    if (found !== null) said.set(Number(found[1]), found[2] as string);
  }
  return paths.map((path, at): TargetSight => {
    const [says, ...rest] = (said.get(at) ?? 'hung').split(' ');
    const detail = rest.join(' ');
    switch (says) {
      case 'free':
      case 'held':
      case 'missing':
        return { path, says };
      case 'unguarded':
      case 'not-mounted':
      case 'unreadable':
        return { path, says, detail };
      default:
        return { path, says: 'hung' };
    }
  });
}

/** Why a VM must not be started on this image from there; undefined when it may. */
export function obstacle(sight: TargetSight): string | undefined {
  switch (sight.says) {
    case 'free':
      return undefined;
    case 'held':
      return `${sight.path} is locked by somebody`;
    case 'missing':
      return `${sight.path} is not there`;
    case 'hung':
      return `${sight.path} hangs: its server does not answer, or gives no locks yet`;
    case 'unguarded':
      return `${sight.path} is mounted with "${sight.detail}", which keeps no second writer out: remount it with locks`;
    case 'not-mounted':
      return `${sight.path} lies on ${sight.detail || 'no file system'} there, the pool is not mounted`;
    case 'unreadable':
      return `${sight.path} cannot be used: ${sight.detail}`;
  }
}
