/** One line of a beat guest's diary, as it stands on its disk and on its serial port. */
export interface BeatRecord {
  readonly seq: number;
  /** Its place among the beats of its boot, from 1. */
  readonly n: number;
  readonly boot: string;
  /** The boot that the head named just before this beat; zeros on a new disk. */
  readonly prev: string;
  /** The machine's UUID, without dashes. */
  readonly vm: string;
  /** The whole line, without its end. */
  readonly text: string;
}

const LINE =
  /(VMEDIC-BEAT seq=([0-9a-f]{8}) n=([0-9a-f]{8}) boot=([0-9a-f]{16}) prev=([0-9a-f]{16}) vm=([0-9a-f]{32}))/;

/** The record that fills a sector: one line, then zeros; undefined for anything else. */
export function recordOfSector(sector: Buffer): BeatRecord | undefined {
  const text = sector.toString('latin1');
  const match = new RegExp(`^${LINE.source}\n\0*$`).exec(text);
  return match ? fromMatch(match) : undefined;
}

/** Every whole record that was printed. A line that a power cut tore off is no record: it may be followed by another on its line. */
export function printedRecords(serial: string): BeatRecord[] {
  return [...serial.matchAll(new RegExp(LINE.source, 'g'))].map(fromMatch);
}

function fromMatch(match: RegExpExecArray): BeatRecord {
  const [, text, seq, n, boot, prev, vm] = match as unknown as Fields;
  return { seq: parseInt(seq, 16), n: parseInt(n, 16), boot, prev, vm, text };
}

/** The match, then the line and its fields. */
type Fields = [string, string, string, string, string, string, string];
