import { z } from 'zod';
import { WorkflowFailedError } from '@temporalio/client';
import { workflowIds } from '../../../domain/ids';
import { lastRun, memoOf } from '../../runs';
import { Problem } from '../problems';
import { route, type Route } from '../route';
import { named, nameText } from '../schemas';

const run = named(
  'Run',
  z.object({
    workflowId: z.string(),
    runId: z.string(),
    type: z.string(),
    state: z.string().meta({ description: 'RUNNING, COMPLETED, FAILED, CANCELED, TERMINATED, …' }),
    startedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().optional(),
    incidentId: z.string().optional(),
    result: z
      .unknown()
      .optional()
      .meta({ description: 'What it ended with; for a rehearsal, what would be done.' }),
    failure: z.string().optional(),
  }),
);

const resultMs = 5_000;
/** Other workflows of the namespace are none of this API's business. */
const ours = new RegExp(`^(${['host', 'vm', 'rehearsal'].join('|')}):`);

export const runRoutes: readonly Route[] = [
  route({
    ...{ method: 'get', path: '/v1/runs/{run}', tag: 'runs', needs: 'viewer' },
    summary: 'A run by its workflow ID: where it stands, and what it ended with',
    params: z.object({ run: nameText }),
    answers: { 200: { says: 'The latest run of this ID.', schema: run } },
    problems: [404, 503],
    async handle({ params }, door) {
      const { client } = await door.temporal();
      const last = ours.test(params.run)
        ? await client.withDeadline(Date.now() + resultMs, () => lastRun(client, params.run))
        : undefined;
      if (last === undefined)
        throw new Problem(404, 'UNKNOWN_RUN', `There was no run ${params.run}`, {
          next: `IDs look like ${workflowIds.host('hv-a' as never)}`,
        });
      const closed = last.status.name !== 'RUNNING';
      const ending = closed ? await endingOf(client, params.run, last.runId) : {};
      const incidentId = memoOf(last)?.incidentId;
      return {
        status: 200,
        body: {
          ...{ workflowId: last.workflowId, runId: last.runId, type: last.type, state: last.status.name },
          startedAt: last.startTime.toISOString(),
          ...(last.closeTime !== undefined && { endedAt: last.closeTime.toISOString() }),
          ...(incidentId !== undefined && { incidentId }),
          ...ending,
        },
      };
    },
  }),
];

type Client = Parameters<typeof lastRun>[0];

async function endingOf(client: Client, workflowId: string, runId: string) {
  try {
    const handle = client.workflow.getHandle(workflowId, runId);
    const result: unknown = await client.withDeadline(Date.now() + resultMs, () => handle.result());
    return { result: result ?? null };
  } catch (error) {
    // How it failed is the answer to what was asked.
    if (error instanceof WorkflowFailedError) return { failure: error.cause?.message ?? error.message };
    throw error;
  }
}
