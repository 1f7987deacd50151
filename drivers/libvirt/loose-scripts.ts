/**
 * What is run on a host about a disk that belongs to no VM. Its bytes are copied as they are, so nobody here has to guess its format; what it is built
 * on, or what is built on it, is asked of QEMU's own reader of headers.
 */
import { openAlone } from './copy-scripts';

/** Two lines, kind with names, bytes and blocks, then whether it is free; then what QEMU says of it. $1 path. */
export const looseFacts = `${openAlone}
[ -e "$1" ] || [ -L "$1" ] || { echo absent; exit 0; }
[ -f "$1" ] && [ ! -L "$1" ] || { echo other; exit 0; }
stat -c 'file %h %s %b %B' -- "$1" || exit 1
if said=$(open_alone "$1" raw 2>&1); then echo free
elif echo "$said" | grep -q 'Failed to get .*lock'; then echo held
else echo "$said" | head -c 300 >&2; exit 1; fi
qemu-img info -U --output=json "$1" | tr -d '\\n'`;

/**
 * What QEMU says of every image in folders of this host that may be built on another, one document a line; \`end\` when all were read. $1 the disk
 * itself, which is left out; then folders. A folder that is not there holds none; a file that is gone meanwhile is none.
 */
export const imagesBeside = `
me=$1; shift
for folder do
  [ -d "$folder" ] || continue
  find "$folder" -xdev -type f -exec sh -c '
    me=$1; shift
    for image do
      [ "$image" = "$me" ] && continue
      start=$(head -c 4 "$image") || { [ -e "$image" ] || continue; exit 1; }
      case $start in QFI*|QED*|KDMV*|COWD*|"# Di"*|vhdx*|cone*) ;; *) continue ;; esac
      said=$(qemu-img info -U --output=json "$image") || { [ -e "$image" ] || continue; exit 1; }
      printf %s "$said" | tr -d "\\n"
      echo
    done' sh "$me" {} + || exit 1
done
echo end`;

/** Each path as it is without links, one a line. */
export const withoutLinks = `for path do readlink -m -- "$path" || exit 1; done`;

/** Removes the old place of a moved disk: nobody has it open, and it is equal to its copy still. $1 it, $2 the copy, $3 what stands beside the copy. */
export const removeMovedFile = `${openAlone}
if [ -e "$1" ]; then
  [ -e "$2" ] || { echo 'its copy is not there'; exit 3; }
  open_alone "$1" raw >/dev/null 2>&1 || { echo 'somebody has it open'; exit 3; }
  said=$(qemu-img compare -f raw -F raw "$1" "$2" 2>&1) || { echo "it is not equal to its copy any more: $said"; exit 3; }
  open_alone "$1" raw >/dev/null 2>&1 || { echo 'somebody has it open'; exit 3; }
  rm -f -- "$1" || { echo 'it could not be removed'; exit 4; }
fi
rm -f -- "$3.rc" "$3.said" "$3.pid" "$3.lock"
exit 0`;
