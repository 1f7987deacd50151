/** What is run on a host. Files of the writer's own lie under /run, or /tmp where an ordinary user has the way in; they go with a boot. */

/**
 * The writer. Arguments: the file, the stem of its own files, seconds between two beats, minutes that it goes on for without being asked again. Ends
 * when another writer has taken its place. It writes in place: a file put in the place of another is seen late by NFS clients that remember the folder.
 */
const writer = `
file=$1 stem=$2 every=$3 minutes=$4 count=0
echo $$ > "$stem.pid"
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
while read -r mine < "$stem.pid" && [ "$mine" = $$ ]; do
  [ $((count % 30)) -ne 0 ] || [ -n "$(find "$stem.asked" -mmin "-$minutes" 2>/dev/null)" ] || { rm -f "$stem.pid"; break; }
  count=$((count + 1))
  echo "$boot $$ $count" > "$file"
  sleep "$every"
done`;

const stemOf = `home=/run; [ -w "$home" ] || home=/tmp
stem=$home/vmedic-heartbeat-$2`;

/**
 * Arguments: folder, name of the host, seconds, minutes. A writer that is there already goes on; it is known by its id and its command line, because
 * ids come again. A new one is waited for: until it leads a session of its own it would be ended along with this script.
 */
export const keepScript = `
[ -d "$1" ] || { echo "$1 is not there" >&2; exit 2; }
${stemOf}
: > "$stem.asked" || { echo "nothing can be written in $home" >&2; exit 2; }
pid=; [ ! -e "$stem.pid" ] || read -r pid < "$stem.pid"
[ -n "$pid" ] && grep -aqF "vmedic-heartbeat-$2" "/proc/$pid/cmdline" 2>/dev/null && exit 0
rm -f "$stem.pid"
setsid sh -c '${writer}' "vmedic-heartbeat-$2" "$1/.vmedic-heartbeat-$2" "$stem" "$3" "$4" </dev/null >/dev/null 2>&1 &
tries=0
while [ ! -s "$stem.pid" ] && [ $tries -lt 30 ]; do tries=$((tries + 1)); sleep 0.1; done
[ -s "$stem.pid" ] || { echo 'the writer did not begin' >&2; exit 2; }`;

/**
 * Arguments: folder, name of the host, seconds to look on. 0: it changed; 4: it did not; 5: it cannot tell. A file that is not there yet is waited
 * for, because the first beat may be on its way.
 */
export const lookScript = `
file=$1/.vmedic-heartbeat-$2
first= left=$3
while :; do
  if [ -n "$first" ] || [ -e "$file" ]; then now=$(cat "$file") || exit 5; else now=; fi
  [ -n "$first" ] || first=$now
  [ -z "$now" ] || [ "$now" = "$first" ] || exit 0
  [ "$left" -gt 0 ] || break
  left=$((left - 1))
  sleep 1
done
[ -n "$first" ] || exit 5
exit 4`;

export const lookAnswers: Readonly<Record<number, 'writes' | 'still'>> = { 0: 'writes', 4: 'still' };
