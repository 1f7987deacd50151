/**
 * Activation of one logical volume on one host, each act written down there before it is done: a mark under /run says that this volume was
 * activated by us, and lives as long as an activation can, until the next boot. Without a mark nothing is deactivated.
 */

const head = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
marks=/run/vmedic/lvm
# Its state, or the end of the script: a line of LVM's that does not name the volume says nothing of it. Its return code is not asked, since a
# group with a missing disk may be told of with an error as well.
state() {
  said=$(lvs --noheadings --separator : -o lv_uuid,lv_active "$1" | tr -d ' ')
  case $said in
    "$2:unknown") ;;
    "$2:"*) echo "\${said#*:}"; return ;;
  esac
  echo "LVM did not say whether $1 is active" >&2
  exit 5
}
`;

/**
 * Arguments: GROUP/VOLUME, the volume's uuid, the mode of `lvchange`. Prints `before=`, `after=` (both as lv_active has them), `node=yes` once
 * the device is there, and `mine=yes` when it is active by our hand. The return code of lvchange says nothing: 0 may have activated nothing.
 */
export const activateScript = `${head}
before=$(state "$1" "$2") || exit 5
echo "before=$before"
mark="$marks/$2"
if [ "$before" != active ]; then
  mkdir -p "$marks" && : >"$mark" || { echo "no mark can be written in $marks" >&2; exit 3; }
  lvchange "$3" "$1" >/dev/null || :
fi
after=$(state "$1" "$2") || exit 5
echo "after=$after"
[ "$after" = active ] || rm -f "$mark"
tries=0
while [ "$after" = active ] && [ ! -b "/dev/$1" ] && [ $tries -lt 50 ]; do
  tries=$((tries + 1)); sleep 0.1
done
[ ! -b "/dev/$1" ] || echo node=yes
[ ! -e "$mark" ] || echo mine=yes
`;

/**
 * Arguments: GROUP/VOLUME, the volume's uuid. Does nothing without our mark. Prints `after=` and the reason when it stays active. Fails, and
 * leaves the mark, when LVM does not say how the volume is.
 */
export const deactivateScript = `${head}
mark="$marks/$2"
[ -e "$mark" ] || { echo after=; exit 0; }
before=$(state "$1" "$2") || exit 5
if [ "$before" = active ]; then lvchange -an "$1" || :; fi
after=$(state "$1" "$2") || exit 5
echo "after=$after"
[ "$after" = active ] || rm -f "$mark"
`;

/** Arguments: a device that holds a qcow2. Prints `behind=` and `format=` of the image behind it, nothing when there is none. `-U`: takes no lock. */
export const backingScript = `
LC_ALL=C; export LC_ALL
said=$(qemu-img info -U -f qcow2 --output=json "$1") || exit 4
printf '%s\\n' "$said" | sed -n -e 's/^ *"full-backing-filename": "\\(.*\\)",*$/behind=\\1/p' \\
  -e 's/^ *"backing-filename-format": "\\(.*\\)",*$/format=\\1/p'
`;

/** Arguments: a script, and its own. Runs it as it is for root, and by sudo without a password for anybody else. */
export const asRootScript = `
script=$1
shift
[ "$(id -u)" = 0 ] && exec sh -c "$script" sh "$@"
exec sudo -n sh -c "$script" sh "$@"
`;

/** The lines `name=value` that a script printed. */
export function valuesIn(printed: string): ReadonlyMap<string, string> {
  return new Map(
    printed
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line): [string, string] => [
        line.slice(0, line.indexOf('=')),
        line.slice(line.indexOf('=') + 1).trim(),
      ]),
  );
}
