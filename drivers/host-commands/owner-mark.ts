/** The mark that a VMedic leaves on a host: a file that names it, written anew while it is there. */
import type { HostClaim } from '../../activities/ports';
import type { FleetOwner } from '../../domain/records';

/**
 * Arguments: the file, the owner's id, its name, and for how many seconds a mark counts. Ages are by the host's own clock on both sides. Under a
 * lock, so that of two that come at once the second meets the first one's mark. Prints `ours`, `theirs AGE` with the mark after it, or why none is kept.
 */
export const claimScript = `
umask 022
mkdir -p "$(dirname "$1")" 2>/dev/null
{ : >>"$1.lock"; } 2>/dev/null || { echo "none $1.lock cannot be written"; exit 0; }
exec 9>>"$1.lock"
flock -w 2 9 || { echo "none $1.lock cannot be locked"; exit 0; }
if [ -s "$1" ] && [ "$(head -n 1 "$1")" != "$2" ]; then
  age=$(( $(date +%s) - $(stat -c %Y "$1") ))
  if [ "$age" -lt "$4" ]; then echo "theirs $age"; cat "$1"; exit 0; fi
fi
printf '%s\\n' "$2" "$3" >"$1.new" && mv "$1.new" "$1" && echo ours || echo "none $1 cannot be written"`;

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

export const claimArguments = (file: string, owner: FleetOwner, silentMsMax: number): string[] => [
  file,
  oneLine(owner.id),
  oneLine(owner.name),
  String(Math.ceil(silentMsMax / 1000)),
];

/** Undefined when it is nothing that the script prints. */
export function claimFrom(printed: string): HostClaim | undefined {
  const [first = '', id = '', name = ''] = printed.split('\n');
  if (first === 'ours') return { says: 'ours' };
  if (first.startsWith('none ')) return { says: 'not-known', detail: first.slice('none '.length) };
  const age = /^theirs (-?\d+)$/.exec(first)?.[1];
  if (age === undefined || id === '') return undefined;
  return { says: 'theirs', owner: { id, name }, heardMs: Number(age) * 1000 };
}
