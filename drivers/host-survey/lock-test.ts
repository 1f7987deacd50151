/**
 * QEMU's own locks on a scratch file of the pool: one host opens it as a running VM does, the other asks as a starting one does. The holder
 * asks itself first, because a lock that does not even show on its own host was never taken. The file is a qcow2: of a raw one qemu-io shares
 * the right to write, as no running VM does.
 */
import type { LockTest } from '../../domain/readiness';

/** The holder lets go by itself after this, whatever becomes of us. */
const heldSeconds = 60;

const lockRefusal = (text: string): string =>
  `printf '%s\\n' "${text}" | grep -Eq 'Failed to get (shared )?"[^"]+" lock'`;

/**
 * Arguments: the file. Prints `held` once the lock is taken. The lock's holder removes the file when it ends. It tries again when it is
 * refused (1): our own question whether it holds already is, for a moment, somebody else who has the file open.
 */
export const holdScript = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
command -v qemu-io >/dev/null 2>&1 && command -v qemu-img >/dev/null 2>&1 || { echo 'qemu-io and qemu-img are needed there' >&2; exit 3; }
(umask 077; qemu-img create -q -f qcow2 "$1" 64k 2>/dev/null) || { echo "no file can be made beside $1" >&2; exit 3; }
setsid sh -c '
  while [ -e "$1" ]; do
    timeout ${heldSeconds} qemu-io -f qcow2 -c "sleep ${heldSeconds}000" "$1"
    [ $? = 1 ] || break
    sleep 0.1
  done
  rm -f "$1"' sh "$1" </dev/null >/dev/null 2>&1 &
tries=0
while [ $tries -lt 40 ]; do
  said=$(qemu-img info -f qcow2 "$1" 2>&1 >/dev/null) || {
    ${lockRefusal('$said')} && { echo held; exit 0; }
    echo "the scratch file cannot be held open there: $said" >&2; exit 3
  }
  tries=$((tries + 1)); sleep 0.1
done
echo free
`;

/** Arguments: the file. Prints what a starting QEMU would be told. */
export const askScript = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
[ -e "$1" ] || { echo absent; exit 0; }
said=$(qemu-img info -f qcow2 "$1" 2>&1 >/dev/null) && { echo free; exit 0; }
${lockRefusal('$said')} && { echo refused; exit 0; }
printf 'trouble %s\\n' "$(printf '%s' "$said" | head -n 1)"
`;

/** Arguments: the file. Ends the holder by the file that it has open, and takes the file away. */
export const releaseScript = `
for link in /proc/[0-9]*/fd/*; do
  [ "$(readlink "$link" 2>/dev/null)" = "$1" ] || continue
  pid=\${link#/proc/}; kill "\${pid%%/*}" 2>/dev/null
done
rm -f "$1"
`;

export function verdictOf(held: string, asked: string, path: string): Pick<LockTest, 'says' | 'detail'> {
  if (held.trim() === 'free')
    return { says: 'does-not-guard', detail: 'a lock taken there does not even show on the same host' };
  if (held.trim() !== 'held') return { says: 'not-known', detail: `the holder said "${held.trim()}"` };
  const said = asked.trim();
  if (said === 'refused') return { says: 'guards', detail: 'refused, as it should be' };
  if (said === 'free') return { says: 'does-not-guard', detail: 'its image was opened' };
  if (said === 'absent')
    return { says: 'not-known', detail: `the other host does not see ${path}: is it the same folder?` };
  return { says: 'not-known', detail: said.replace(/^trouble /, '') };
}
