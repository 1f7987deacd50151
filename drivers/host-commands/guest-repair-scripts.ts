/**
 * What is run on a host to keep a stopped guest's disks, to mend what is in them, and to go back. Theory of operation: each script takes the attempt's
 * lock first and whatever it starts inherits it, so that one whose caller went away is waited for and never met. How far a disk is stands beside it: in
 * its state file (compared, kept, written, back), of a volume in its tags. Nothing writes to a disk before it says `kept`, and nothing is removed once it says
 * `written` unless it says `back`.
 *
 * INVARIANTS:
 * - A copy gets its name once it was compared with the disk and is equal.
 * - A disk that somebody has open is left alone: asked by QEMU's own lock for a file, by LVM for a volume.
 * - No word here throws a journal away.
 */

/** 3: refused, with the reason on stderr. $1 is always the lock. */
const head = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
no() { echo "$*" >&2; exit 3; }
exec 9>>"$1" || exit 1
flock -w 7200 9 || no 'an earlier step of this repair is at work there still'
`;

/** A reader of a raw image has nothing against writers, so such a one is opened for writing, and not written to. */
const alone = `
alone() {
  if [ "$2" = raw ]; then said=$(qemu-io -f raw -c length "$1" 2>&1); else said=$(qemu-img info -f "$2" "$1" 2>&1); fi ||
    no "somebody has $1 open, or it cannot be read: $(printf %s "$said" | tail -n 1 | head -c 200)"
}
says() { grep -qx "$2" "$1" 2>/dev/null; }
note() { says "$1" "$2" || { echo "$2" >>"$1" && sync "$1"; }; }
`;

/** Which of the commands named are not there, one a line. */
export const missingTools = `
PATH=$PATH:/usr/sbin:/sbin
for tool do command -v "$tool" >/dev/null 2>&1 || echo "$tool"; done`;

/** One line: blocks in use, bytes of a block, names; then the bytes free beside it. $1 path. */
export const fileFacts = `
[ -f "$1" ] && [ ! -L "$1" ] || { echo other; exit 0; }
[ -w "\${1%/*}" ] || { echo closed; exit 0; }
stat -c 'file %b %B %h' -- "$1" || exit 1
df -B1 --output=avail -- "\${1%/*}" | tail -n 1`;

/** One line, or nothing where there is no such volume. $1 GROUP/VOLUME. */
export const volumeFacts = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
lvs --noheadings --nosuffix --units b --separator '|' -o lv_uuid,lv_size,lv_active,segtype,vg_free,vg_missing_pv_count "$1"`;

/** $1 the state file, which is the lock too; $2 disk, $3 its format, $4 where it is kept. */
export const keepFile = `${head}${alone}
says "$1" kept && [ -f "$4" ] && exit 0
says "$1" written && no "$2 was written to before it was kept"
if [ -e "$4" ]; then
  says "$1" compared && note "$1" kept && exit 0
  no "$4 is there, and was not made by this repair"
fi
alone "$2" "$3"
rm -f -- "$4.part"
cp -a --sparse=always -- "$2" "$4.part" && sync "$4.part" && cmp -- "$2" "$4.part" || { rm -f -- "$4.part"; exit 4; }
alone "$2" "$3"
note "$1" compared && mv -- "$4.part" "$4" && sync "\${4%/*}" && note "$1" kept`;

/** From here on the disk counts as written to. $1 state, $2 disk, $3 format, $4 kept. */
export const openFile = `${head}${alone}
says "$1" kept && [ -f "$4" ] || no "$2 was not kept before"
says "$1" back && no "$2 was put back already"
alone "$2" "$3"
note "$1" written`;

/** $1 state, $2 disk, $3 format, $4 kept. */
export const goBackFile = `${head}${alone}
says "$1" back && [ ! -e "$4" ] && exit 0
says "$1" kept && [ -f "$4" ] || no "$4 is not there, so there is nothing to go back to"
alone "$2" "$3"
note "$1" back
mv -f -- "$4" "$2" && sync "\${2%/*}" && [ ! -e "$4" ]`;

/** $1 state, $2 disk, $3 format, $4 kept. */
export const dropFile = `${head}${alone}
if says "$1" back; then rm -f -- "$1"; exit; fi
says "$1" written && exit 0
rm -f -- "$4.part" || exit 4
says "$1" compared && { [ -f "$2" ] || no "$2 is not there"; rm -f -- "$4" || exit 4; }
rm -f -- "$1"`;

const volumes = `
of() { lvs --noheadings -o "$2" "$1" 2>/dev/null | tr -d ' '; }
tagged() { case ",$(of "$1" lv_tags)," in *",$2,"*) return 0 ;; esac; return 1; }
closed() { [ -z "$(of "$1" lv_device_open)" ] || no "somebody has $1 open"; }
there() { lvs -a --noheadings -o lv_name "\${1%/*}" 2>/dev/null | tr -d ' []' | grep -qx "\${1#*/}"; }
`;

/** $1 the lock, $2 GROUP/VOLUME, $3 its UUID, $4 GROUP/SNAPSHOT, $5 the attempt's tag. As large as the volume, so that it never runs full. */
export const keepVolume = `${head}${volumes}
[ "$(of "$2" lv_uuid)" = "$3" ] || no "$2 is another volume than before"
if ! there "$4"; then
  tagged "$2" "$5.back" && no "$2 was put back already"
  closed "$2"
  lvcreate -q -y -s -l 100%ORIGIN -n "\${4#*/}" --addtag "$5" "$2" >&2 || exit 4
fi
[ "$(of "$4" origin)" = "\${2#*/}" ] && tagged "$4" "$5" || no "$4 is there, and is no snapshot of this repair"
closed "$2"`;

/** $1 the lock, $2 GROUP/VOLUME, $3 its UUID, $4 GROUP/SNAPSHOT, $5 the attempt's tag. */
export const openVolume = `${head}${volumes}
[ "$(of "$2" lv_uuid)" = "$3" ] || no "$2 is another volume than before"
[ "$(of "$4" origin)" = "\${2#*/}" ] && tagged "$4" "$5" || no "$2 was not kept before"
closed "$2"
tagged "$4" "$5.written" || lvchange -q --addtag "$5.written" "$4" >&2`;

/** The same arguments. A merge that is under way is waited for: what is merged is gone from the list. */
export const goBackVolume = `${head}${volumes}
[ "$(of "$2" lv_uuid)" = "$3" ] || no "$2 is another volume than before"
if ! there "$4"; then
  tagged "$2" "$5.back" || no "$4 is not there, so there is nothing to go back to"
  exit 0
fi
if ! tagged "$2" "$5.back"; then
  [ "$(of "$4" origin)" = "\${2#*/}" ] && tagged "$4" "$5" || no "$4 is no snapshot of this repair"
  case $(of "$4" lv_snapshot_invalid) in *invalid*) no "$4 is not whole any more" ;; esac
  closed "$2"
  lvchange -q --addtag "$5.back" "$2" >&2 || exit 4
fi
lvconvert -q -y --merge "$4" >&2
while there "$4"; do
  [ -n "$(of "$2" lv_merging)" ] || ! there "$4" || no "$4 could not be merged into $2"
  sleep 2
done
exit 0`;

/** The same arguments. */
export const dropVolume = `${head}${volumes}
if there "$4"; then
  [ "$(of "$4" origin)" = "\${2#*/}" ] && tagged "$4" "$5" || exit 0
  tagged "$4" "$5.written" && exit 0
  lvremove -q -y "$4" >&2 || exit 4
fi
tagged "$2" "$5.back" && lvchange -q --deltag "$5.back" "$2" >&2
rm -f -- "$1"
exit 0`;

/** `direct` keeps libvirt out of it, on whose list the appliance would stand as a VM. What libguestfs says of an error ends in advice: the first line that names one counts. */
const appliance = `
LIBGUESTFS_BACKEND=direct; export LIBGUESTFS_BACKEND
words() { printf %s "$*" | tr '\\n' ' ' | tr -cd '[:print:]' | head -c 200; }
failed() { words "$(printf '%s\\n' "$1" | grep -m 1 'error:' || printf '%s\\n' "$1" | tail -n 1)" >&2; exit 5; }
`;

/**
 * Whether the appliance boots there and knows XFS; nothing is opened. Its first boot on a host puts it together out of the host's own packages, which
 * takes half a minute; later ones some seconds, without KVM three times as long.
 */
export const applianceFacts = `
LC_ALL=C; export LC_ALL
${appliance}
said=$(guestfish --ro -a /dev/null -- run : filesystem-available xfs </dev/null 2>&1) || failed "$said"
[ "$(printf '%s\\n' "$said" | tail -n 1)" = true ] || { echo 'guestfish knows no XFS there (Debian: libguestfs-xfs)' >&2; exit 5; }`;

/**
 * One line a file system: DEVICE TYPE FOUND WORDS. The appliance of libguestfs is a virtual machine with a kernel of its own, booted anew for each look.
 * Mounting replays the journal; where that is refused, e2fsck and xfs_repair refuse as well to go past it, and the file system is damaged. guestfish
 * prints what xfs_repair returned: of a check 1 for damage as for a journal that is not replayed, of a repair 2 for the latter, and ends with 0 all the
 * same. $1 the lock; then guestfish's own arguments, which name the disks.
 */
export const mendScript = `${head}${appliance}
lock=$1; shift
fish() { guestfish --rw "$@" </dev/null 2>&1; }
last() { printf '%s\\n' "$1" | tail -n 1; }
all=$(guestfish --ro "$@" -- run : list-filesystems </dev/null 2>&1) || failed "$all"
printf '%s\\n' "$all" | while read -r device type; do
  case $device in /dev/*:) device=\${device%:} ;; *) continue ;; esac
  case $type in
    ext2|ext3|ext4)
      if said=$(fish "$@" -- run : -mount "$device" / : umount-all : e2fsck "$device" correct:true); then echo "$device $type whole"
      else echo "$device $type damaged $(words "$said")"; fi ;;
    xfs)
      if said=$(fish "$@" -- run : -mount "$device" / : umount-all : xfs-repair "$device" nomodify:true) && [ "$(last "$said")" = 0 ]; then
        echo "$device $type whole"
      elif mended=$(fish "$@" -- run : xfs-repair "$device" : mount "$device" / : umount-all : xfs-repair "$device" nomodify:true) &&
        [ "$(last "$mended")" = 0 ]; then echo "$device $type mended"
      else echo "$device $type damaged $(words "$said" "$mended")"; fi ;;
    *) echo "$device $type left" ;;
  esac
done
echo end`;
