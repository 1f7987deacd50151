/** Reads what a guest prints on its console file, on the host where the file lies. */
import { createHash } from 'node:crypto';
import type { HealthMark } from '../../activities/ports';

/** Bytes before the mark that are remembered, to notice that the file was begun anew. */
const tailBytes = 256;
/** New output looked at in one go; a guest prints a few tens of KiB while it boots. */
const newBytesMax = 4 * 1024 * 1024;

/** Prints the last bytes before `end` in base64. By seeking: a console may hold hundreds of MiB. */
const printTail = (end: string): string => `
start=$((${end} > ${tailBytes} ? ${end} - ${tailBytes} : 0))
tail -c +$((start + 1)) "$1" | head -c $((${end} - start)) | base64 -w 0`;

/** Prints the size, then the last bytes in base64. A console that does not exist yet has no bytes. */
export const markScript = `
[ -f "$1" ] || { echo 0; exit 0; }
size=$(wc -c < "$1") || exit 1
echo "$size"
${printTail('$size')}
`;

/** Arguments: path, marked size. Prints the size now, the bytes before the mark, the bytes after it, or from the start if it shrank. */
export const lookScript = `
[ -f "$1" ] || { echo 0; exit 0; }
size=$(wc -c < "$1") || exit 1
from=$2
[ "$size" -ge "$from" ] || from=0
echo "$size"
${printTail('$from')}
echo
tail -c +$((from + 1)) "$1" | head -c ${newBytesMax} | base64 -w 0
`;

const sumOf = (base64: string): string => createHash('sha256').update(base64).digest('hex').slice(0, 16);

/** Undefined when the text is not what `markScript` prints. */
export function markFrom(printed: string): HealthMark | undefined {
  const [size = '', tail = ''] = printed.split('\n');
  if (!/^\d+$/.test(size.trim())) return undefined;
  const consoleBytes = Number(size);
  return consoleBytes === 0 ? { consoleBytes } : { consoleBytes, consoleTail: sumOf(tail.trim()) };
}

export type ConsoleLook =
  /** The file was begun anew since the mark, so that everything in it is new: look again from its start. */
  { readonly kind: 'begun-anew' } | { readonly kind: 'new-output'; readonly text: string };

export function lookFrom(printed: string, mark: HealthMark): ConsoleLook | undefined {
  const [size = '', tail = '', fresh = ''] = printed.split('\n');
  if (!/^\d+$/.test(size.trim())) return undefined;
  const shrank = Number(size) < mark.consoleBytes;
  const otherFile = mark.consoleTail !== undefined && sumOf(tail.trim()) !== mark.consoleTail;
  if (!shrank && mark.consoleBytes > 0 && otherFile) return { kind: 'begun-anew' };
  return { kind: 'new-output', text: Buffer.from(fresh, 'base64').toString('utf8') };
}
