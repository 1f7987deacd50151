/** What people say to a run, in its incident's timeline. */
import { allHandlersFinished, condition, currentUpdateInfo } from '@temporalio/workflow';
import type { IncidentId } from '../domain/ids';
import { look } from './activity-options';
import { shielded } from './cancellation';
import type { Said } from './messages';

/** Before a run ends: an update that is still being answered would fail for its caller. Not to be interrupted, and without a limit. */
export const everythingAnswered = (): Promise<void> => shielded(() => condition(allHandlersFinished));

/** Within an update's handler. Said twice is told twice; a repeat by the server is the same update. */
export async function noteSaid(incidentId: IncidentId, what: string, said: Said): Promise<void> {
  await look.noteSaid({ incidentId, key: `${what}-${currentUpdateInfo()?.id ?? ''}`, what, ...said });
}
