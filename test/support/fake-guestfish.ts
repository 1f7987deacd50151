/**
 * Stands in for guestfish, as far as it is called, and fails what it is not called with: a file system is the first word of the image, `damaged` or `whole`.
 * Where STATE is set a volume of group `vg` is a folder below it.
 */
export const fakeGuestfish = `#!/bin/sh
[ "$LIBGUESTFS_BACKEND" = direct ] || { echo 'libguestfs: through libvirt' >&2; exit 1; }
mode=$1; shift
while [ "$1" != run ]; do [ "$1" = -a ] && image=$2; shift; done
[ -z "$STATE" ] || case $image in /dev/vg/*) image=$STATE/\${image#/dev/vg/}/data ;; esac
shift
words="$*"
is=$(head -c 7 "$image")
write() { [ "$mode" = --rw ] || exit 1; printf %s "$1" | dd of="$image" conv=notrunc 2>/dev/null; }
case $words in
  *force*) echo 'it was told to go past a journal' >&2; exit 1 ;;
  ': filesystem-available xfs') echo true ;;
  ': list-filesystems') printf '/dev/sda1: xfs\\n/dev/sda2: swap\\n' ;;
  ': -mount /dev/sda1 / : umount-all : xfs-repair /dev/sda1 nomodify:true') [ "$is" = damaged ] && echo 1 || echo 0 ;;
  ': xfs-repair /dev/sda1 : mount /dev/sda1 / : umount-all : xfs-repair /dev/sda1 nomodify:true') write 'whole  '; echo 0; echo 0 ;;
  *) echo "not known: $words" >&2; exit 1 ;;
esac
`;
