/**
 * What is run on a host to copy a stopped VM's disk. Theory of operation: the copy is a process of its own there, so that no worker's death ends
 * it; who finds it later sees from the files beside the target how it stands. `D.lock` is locked while it runs, `D.part` becomes `D` only when it
 * was compared and is equal, `D.rc` holds the code of one that failed. QEMU's own lock on the source refuses a start meanwhile.
 */

/** Begins it, unless it runs or is done. $1 source, $2 target, $3 format. */
export const beginCopy = `
[ -e "$2" ] && exit 0
setsid sh -c '
  exec 9>"$2.lock" || exit 1
  flock -n 9 || exit 0
  echo $$ >"$2.pid"
  rm -f "$2.part" "$2.rc" "$2.said"
  {
    qemu-img convert -p -f "$3" -O "$3" "$1" "$2.part" &&
    sync "$2.part" &&
    qemu-img compare -f "$3" -F "$3" "$1" "$2.part" &&
    mv "$2.part" "$2" && sync "\${2%/*}"
  } >"$2.said" 2>&1
  code=$?
  [ "$code" = 0 ] || echo "$code" >"$2.rc"
' sh "$1" "$2" "$3" </dev/null >/dev/null 2>&1 9>&- &
# Until the new process has its lock, so that the next look finds it.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -e "$2.pid" ] && break; sleep 0.05; done
exit 0`;

/** One line: whole, running, failed or none; then what it said last. $1 target. */
export const lookAtCopy = `
if [ -e "$1" ]; then echo whole
elif [ -e "$1.lock" ] && ! flock -n "$1.lock" true; then echo running
elif [ -e "$1" ]; then echo whole
elif [ -e "$1.rc" ]; then echo failed
elif [ -e "$1.part" ] || [ -e "$1.pid" ]; then echo ended
else echo none; fi
[ -e "$1.said" ] && tail -c 400 "$1.said"
exit 0`;

/** Ends it, if it runs. $1 target. */
export const endCopy = `
if [ -e "$1.lock" ] && ! flock -n "$1.lock" true; then kill -TERM -- "-$(cat "$1.pid")" 2>/dev/null; fi
exit 0`;

/** absent, free or held (somebody has it open), by QEMU's own lock. $1 path, $2 format. */
export const probeFile = `
[ -e "$1" ] || { echo absent; exit 0; }
if said=$(qemu-img info -f "$2" "$1" 2>&1); then echo free
elif echo "$said" | grep -q 'Failed to get .*lock'; then echo held
else echo "$said" | head -c 300; exit 1; fi`;

/** Virtual and actual size, and the room of a folder. $1 image, $2 format, $3 folder. */
export const sizes = `
qemu-img info -U -f "$2" --output=json "$1" | tr -d ' \\n' || exit 1
echo
[ -d "$3" ] && [ -w "$3" ] && df -B1 --output=avail "$3" | tail -1`;

/** Equal, or not. $1 one, $2 other, $3 format. */
export const compareFiles = `qemu-img compare -f "$3" -F "$3" "$1" "$2"`;

/** Removes a file that nobody has open, and what stood beside a target. $1 path, $2 format, $3 target. */
export const removeFile = `
if [ -e "$1" ]; then
  qemu-img info -f "$2" "$1" >/dev/null 2>&1 || { echo 'somebody has it open'; exit 3; }
  rm -f -- "$1" || exit 4
fi
if [ -e "$3.lock" ] && ! flock -n "$3.lock" true; then echo 'it is still being copied'; exit 5; fi
rm -f -- "$3.part" "$3.rc" "$3.said" "$3.pid" "$3.lock"
exit 0`;
