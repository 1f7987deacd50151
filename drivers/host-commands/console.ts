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

/**
 * Arguments: path and first byte wanted, for each console. One line each: "-" when there is no such file, "!" when it cannot be read, else "+"
 * and what it holds from that byte on, in base64. Three small processes for each console, one shell and one way in for all of them.
 */
export const lookScript = `
while [ $# -gt 1 ]; do
  if [ ! -f "$1" ]; then echo -
  elif [ ! -r "$1" ]; then echo !
  else printf +; tail -c "+$2" "$1" | head -c ${tailBytes + newBytesMax} | base64 -w 0; echo
  fi
  shift 2
done
`;

/** What `lookScript` is given for a console: the bytes before the mark are read again, because they tell whether it is the same file. */
export const firstByteOf = (mark: HealthMark): number => mark.consoleBytes - seenAgain(mark) + 1;

const seenAgain = (mark: HealthMark): number => Math.min(tailBytes, mark.consoleBytes);

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

/** Undefined when the line is not one that `lookScript` prints of a console it could read. */
export function lookFrom(line: string | undefined, mark: HealthMark): ConsoleLook | undefined {
  if (line === '-') return { kind: 'new-output', text: '' };
  if (line?.startsWith('+') !== true) return undefined;
  const bytes = Buffer.from(line.slice(1), 'base64');
  const again = seenAgain(mark);
  const tail = bytes.subarray(0, again).toString('base64');
  const otherFile = mark.consoleTail !== undefined && sumOf(tail) !== mark.consoleTail;
  if (again > 0 && (bytes.length < again || otherFile)) return { kind: 'begun-anew' };
  return { kind: 'new-output', text: bytes.subarray(again).toString('utf8') };
}
