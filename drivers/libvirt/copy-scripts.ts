/**
 * What is run on a host to copy a stopped VM's disk. Theory of operation: the copy is a process of its own there, so that no worker's death ends
 * it; who finds it later sees from the files beside the target D how it stands. `D.lock` is locked while it runs, `D.part` becomes `D` only when it
 * was compared and is equal (of a volume, which is there from the start, `D.whole` is written then), `D.rc` holds the code of one that failed. QEMU's own lock on a qcow2 source refuses a
 * start meanwhile; a reader of a raw one keeps no writer out, so a start is found by looking, and what it wrote by the last comparison.
 */

/**
 * Begins it, unless it runs or is done. $1 source, $2 its format, $3 target, $4 its format, $5 what stands beside, $6 what is there once it is whole:
 * the target itself for a file; a volume is there already, and is written to where it is.
 */
export const beginCopy = `
[ -e "$6" ] && exit 0
[ "$3" = "$6" ] || mkdir -p "\${5%/*}" || exit 1
setsid sh -c '
  exec 9>"$5.lock" || exit 1
  flock -n 9 || exit 0
  echo $$ >"$5.pid"
  rm -f "$5.part" "$5.rc" "$5.said"
  if [ "$3" = "$6" ]; then to=$5.part; new=; else to=$3; new=-n; fi
  {
    { [ -z "$new" ] || [ -b "$to" ] || { echo "$to is no block device"; false; }; } &&
    qemu-img convert -p $new -f "$2" -O "$4" "$1" "$to" &&
    sync "$to" &&
    qemu-img compare -p -f "$2" -F "$4" "$1" "$to" &&
    if [ -n "$new" ]; then : >"$6"; else mv "$to" "$6" && sync "\${6%/*}"; fi
  } >"$5.said" 2>&1
  code=$?
  [ "$code" = 0 ] || echo "$code" >"$5.rc"
' sh "$1" "$2" "$3" "$4" "$5" "$6" </dev/null >/dev/null 2>&1 9>&- &
# Until the new process has its lock, so that the next look finds it.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -e "$5.pid" ] && break; sleep 0.05; done
exit 0`;

/** One line: whole, running, failed or none; then what it said last. $1 what stands beside the target, $2 what is there once it is whole. */
export const lookAtCopy = `
if [ -e "$2" ]; then echo whole
elif [ -e "$1.lock" ] && ! flock -n "$1.lock" true; then echo running
elif [ -e "$2" ]; then echo whole
elif [ -e "$1.rc" ]; then echo failed
elif [ -e "$1.part" ] || [ -e "$1.pid" ]; then echo ended
else echo none; fi
[ -e "$1.said" ] && tail -c 400 "$1.said"
exit 0`;

/** Ends it, if it runs. $1 what stands beside the target. */
export const endCopy = `
if [ -e "$1.lock" ] && ! flock -n "$1.lock" true; then kill -TERM -- "-$(cat "$1.pid")" 2>/dev/null; fi
exit 0`;

/**
 * Opens an image as one that must not be written to by others. A reader of a raw image has nothing against writers, so such a one is opened for writing,
 * and not written to. $1 path, $2 format.
 */
export const openAlone = `
open_alone() { if [ "$2" = raw ]; then qemu-io -f raw -c length "$1"; else qemu-img info -f "$2" "$1"; fi; }`;

/** absent, free or held (somebody has it open), by QEMU's own lock. $1 path, $2 format. */
export const probeFile = `${openAlone}
[ -e "$1" ] || { echo absent; exit 0; }
if said=$(open_alone "$1" "$2" 2>&1); then echo free
elif echo "$said" | grep -q 'Failed to get .*lock'; then echo held
else echo "$said" | head -c 300; exit 1; fi`;

/** Virtual and actual size of an image, and the room of a folder; either may be left out. $1 image, $2 format, $3 folder. */
export const sizes = `
[ -z "$1" ] || { qemu-img info -U -f "$2" --output=json "$1" | tr -d ' \\n' || exit 1; echo; }
[ -z "$3" ] || { [ -d "$3" ] && [ -w "$3" ] && df -B1 --output=avail "$3" | tail -1; }`;

/** Equal, or not. $1 one, $2 its format, $3 other, $4 its format. */
export const compareDisks = `qemu-img compare -f "$2" -F "$4" "$1" "$3"`;

/** Removes a file that nobody has open, and what stood beside a target. $1 path or nothing, $2 format, $3 what stands beside. */
export const removeFile = `${openAlone}
if [ -e "$1" ]; then
  open_alone "$1" "$2" >/dev/null 2>&1 || { echo 'somebody has it open'; exit 3; }
  rm -f -- "$1" || exit 4
fi
if [ -e "$3.lock" ] && ! flock -n "$3.lock" true; then echo 'it is still being copied'; exit 5; fi
rm -f -- "$3.part" "$3.rc" "$3.said" "$3.pid" "$3.lock" "$3.whole"
exit 0`;
