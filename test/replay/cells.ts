/** Every workflow type × every ending, read from the code; and what a history is, read from the history itself. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { closedPhases } from '../../domain/recovery-state';
import * as workflows from '../../workflows';
import { endings, failureTypes } from '../../workflows/inputs';

export const historiesFolder = join(__dirname, 'histories');
export const workflowTypes = Object.keys(workflows) as (keyof typeof workflows)[];

/** `continued`: as new, on its next page. `cancelled`: in Temporal itself. */
const cells: { readonly [Type in keyof typeof workflows]: readonly string[] } = {
  recoverHost: [...closedPhases, 'rehearsed', 'continued', 'cancelled'],
  fenceHost: [...endings.fenceHost, 'cancelled'],
  releaseLocks: endings.releaseLocks,
  restartVm: [
    ...endings.restartVm,
    failureTypes.compensated,
    failureTypes.stuck,
    'rehearsed',
    'cancelled',
    'continued',
  ],
  repairGuest: [
    ...endings.repairGuest,
    ...[failureTypes.compensated, failureTypes.stuck, 'rehearsed', 'cancelled'],
  ],
  readmitHost: ['readmitted', failureTypes.readmissionRefused, 'rehearsed', 'continued'],
  migrateVolume: [
    ...endings.migrateVolume,
    ...[failureTypes.compensated, failureTypes.stuck, 'continued', 'cancelled'],
  ],
  stopVm: endings.stopVm,
  watchFleet: ['cancelled'],
  checkReadiness: endings.checkReadiness,
};

export const allCells = (): string[] =>
  workflowTypes.flatMap((type) => cells[type].map((e) => `${type} ${e}`));

type Attributes = Record<string, unknown>;
export interface RecordedHistory {
  events: (Record<string, unknown> & { eventType: string })[];
}

interface Failed {
  readonly failure?: { readonly applicationFailureInfo?: { readonly type?: string } };
}

interface Payloads {
  readonly payloads?: readonly { readonly data: string }[];
}

const valueOf = (payloads: unknown): Attributes => {
  const data = (payloads as Payloads | undefined)?.payloads?.[0]?.data;
  return data === undefined ? {} : (JSON.parse(Buffer.from(data, 'base64').toString('utf8')) as Attributes);
};

/** `<type> <ending>` as the history has it; its file's name is only for people. */
export function cellOf({ events }: RecordedHistory): string {
  const begun = (events[0]?.['workflowExecutionStartedEventAttributes'] ?? {}) as Attributes;
  const type = String((begun['workflowType'] as { name?: string } | undefined)?.name);
  return `${type} ${endingOf(events.at(-1) ?? { eventType: '' }, valueOf(begun['input']))}`;
}

function endingOf(last: RecordedHistory['events'][number], input: Attributes): string {
  const completed = last['workflowExecutionCompletedEventAttributes'] as Attributes | undefined;
  const failed = last['workflowExecutionFailedEventAttributes'] as Failed | undefined;
  if (completed !== undefined) {
    if (input['mode'] === 'rehearse') return 'rehearsed';
    const result = valueOf(completed['result']);
    return String(result['outcome'] ?? result['kind'] ?? result['phase']);
  }
  if (failed !== undefined) return failed.failure?.applicationFailureInfo?.type ?? 'failed';
  if (last['workflowExecutionCanceledEventAttributes'] !== undefined) return 'cancelled';
  if (last['workflowExecutionContinuedAsNewEventAttributes'] !== undefined) return 'continued';
  return `open (${last.eventType})`;
}

export interface HistoryFile {
  /** `<workflow>/<release>--<what it pins>.json` */
  readonly name: string;
  readonly history: RecordedHistory;
}

export function recordedHistories(): HistoryFile[] {
  return readdirSync(historiesFolder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => ({
      name,
      history: JSON.parse(readFileSync(join(historiesFolder, name), 'utf8')) as RecordedHistory,
    }));
}

export const missingCells = (files: readonly HistoryFile[]): string[] => {
  const met = new Set(files.map((f) => cellOf(f.history)));
  return allCells().filter((cell) => !met.has(cell));
};
