/** How values look to people. */
import Table from 'cli-table3';
import type { IncidentRecord, TimelineEntry } from '../../domain/records';
import { millisOf, type Timestamp } from '../../domain/observations';
import type { Output } from './io';

/** "3 s", "4 min", "2 h 5 min", "3 d". */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d`;
}

export const since = (at: Timestamp | undefined): string =>
  at === undefined ? 'never' : `${age(Date.now() - millisOf(at))} ago`;

/** Columns without lines, as in `ps`; a cell never wraps. */
export function table(out: Output, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const plain = new Table({
    head: head.map((h) => out.paint.dim(h)),
    chars: {
      ...{
        top: '',
        'top-mid': '',
        'top-left': '',
        'top-right': '',
        bottom: '',
        'bottom-mid': '',
        'bottom-left': '',
      },
      ...{
        'bottom-right': '',
        left: '',
        'left-mid': '',
        mid: '',
        'mid-mid': '',
        right: '',
        'right-mid': '',
        middle: '  ',
      },
    },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  plain.push(...rows.map((row) => [...row]));
  return plain
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** "name: value" lines, values aligned. */
export function facts(out: Output, pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${out.paint.dim(`${name}:`.padEnd(width + 2))}${value}`).join('\n');
}

/** One timeline line: seconds since the incident began, what kind, the sentence. */
export function timelineLine(out: Output, entry: TimelineEntry, begunAt: Timestamp): string {
  const seconds = ((millisOf(entry.at) - millisOf(begunAt)) / 1000).toFixed(1);
  const kind = entry.kind.padEnd(11);
  const paint = entry.kind === 'evidence' || entry.kind === 'attestation' ? out.paint.green : out.paint.dim;
  return `${`${seconds} s`.padStart(9)}  ${paint(kind)} ${entry.sentence}`;
}

export function incidentStanding(incident: IncidentRecord): string {
  if (incident.closedAt !== undefined) return `${incident.outcome ?? 'closed'} ${since(incident.closedAt)}`;
  return `${incident.phase}, open for ${age(Date.now() - millisOf(incident.openedAt))}`;
}
