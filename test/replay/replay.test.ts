/** What earlier runs recorded must come out of today's workflows in the same order, or recoveries under way would break at an upgrade. */
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils';
import { workflowBundlePath } from '../support/servers';
import { allCells, cellOf, missingCells, type RecordedHistory, recordedHistories } from './cells';

beforeAll(() => {
  const filter = { core: 'OFF', other: 'OFF' } as const;
  Runtime.install({
    logger: new DefaultLogger('ERROR', () => undefined),
    telemetryOptions: { logging: { filter: filter as never, forward: {} } },
  });
});

const files = recordedHistories();

function replay(history: RecordedHistory): Promise<void> {
  const workflowBundle = { codePath: workflowBundlePath() };
  return Worker.runReplayHistory({ workflowBundle }, historyFromJSON(history), 'replayed');
}

it('has a history of every workflow and every ending', () => {
  expect(missingCells(files)).toEqual([]);
});

it('misses an ending of which no history is left', () => {
  const [cell] = allCells();
  expect(missingCells(files.filter((f) => cellOf(f.history) !== cell))).toEqual([cell]);
});

it.each(files.map((f) => f.name))('replays %s', async (name) => {
  const file = files.find((f) => f.name === name);
  await expect(replay(file?.history as RecordedHistory)).resolves.toBeUndefined();
});

describe('a history that was changed', () => {
  const recovered = (): RecordedHistory =>
    structuredClone(
      files.find((f) => cellOf(f.history) === 'recoverHost recovered')?.history as RecordedHistory,
    );
  const scheduled = (h: RecordedHistory, type: string) =>
    h.events.find((e) => activityOf(e) === type) as Record<string, { activityType: { name: string } }>;
  const activityOf = (e: Record<string, unknown>): string | undefined =>
    (e['activityTaskScheduledEventAttributes'] as { activityType?: { name?: string } } | undefined)
      ?.activityType?.name;

  it('in what was done does not replay', async () => {
    const history = recovered();
    const event = scheduled(history, 'planRestarts');
    event['activityTaskScheduledEventAttributes']!.activityType.name = 'closeIncident';
    await expect(replay(history)).rejects.toThrow(DeterminismViolationError);
  });

  it('in what was answered does not replay', async () => {
    const history = recovered();
    const id = (scheduled(history, 'lookAtHost') as unknown as { eventId: string }).eventId;
    const done = history.events
      .map(
        (e) =>
          e['activityTaskCompletedEventAttributes'] as
            { scheduledEventId?: string; result: { payloads: { data: string }[] } } | undefined,
      )
      .find((a) => a?.scheduledEventId === id);
    const verdict = {
      verdict: { verdict: 'alive', bootId: undefined, why: 'planted' },
      signs: [],
      readOff: false,
    };
    done!.result.payloads[0]!.data = Buffer.from(JSON.stringify(verdict)).toString('base64');
    await expect(replay(history)).rejects.toThrow(/Nondeterminism|determinis/i);
  });
});
