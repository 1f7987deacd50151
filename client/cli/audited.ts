import { hostname } from 'node:os';
import { Refusal } from '../errors';
import { type Context, text } from './command';

/** Asks for a change with its row in the audit trail: written before, completed with what became of it. */
export async function audited<T>(
  context: Context,
  change: { readonly action: string; readonly target: string },
  act: () => Promise<T>,
  answerOf: (result: T) => string = () => 'done',
): Promise<T> {
  const { inventory } = await context.session();
  const rehearsal = context.flags['dryRun'] === true ? ' (rehearsal)' : '';
  const id = await inventory.noteAudit({
    ...{ at: new Date().toISOString(), who: text(context, 'by'), via: 'command-line', origin: hostname() },
    ...{ action: `${change.action}${rehearsal}`, target: change.target, reason: text(context, 'reason') },
    ...{ answer: 'asked', requestId: undefined },
  });
  const complete = async (answer: string): Promise<void> => {
    try {
      await inventory.noteAuditAnswer(id, answer);
    } catch {
      // What was done stays done, and the row's "asked" is true.
      context.out.note(`the audit trail could not be completed (row ${id}: ${answer})`);
    }
  };
  try {
    const result = await act();
    await complete(answerOf(result));
    return result;
  } catch (error) {
    await complete(error instanceof Refusal ? `refused: ${error.code}` : 'failed');
    throw error;
  }
}
