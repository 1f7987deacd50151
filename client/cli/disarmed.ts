/** Whoever looks at anything shall see that VMedic is kept from acting. */
import { armCommand, disarmedSentence } from '../../domain/armed';
import type { Context } from './command';
import type { ExitCode } from './exit-codes';

/** The command, with a line before it for each switch that is off. */
export const saysIfDisarmed =
  (run: (context: Context) => Promise<ExitCode>) =>
  async (context: Context): Promise<ExitCode> => {
    const { inventory } = await context.session();
    for (const off of (await inventory.switches()).filter((s) => !s.armed))
      context.out.note(
        `${context.out.paint.red('disarmed:')} ${disarmedSentence(off)}  (${armCommand(off)})`,
      );
    return run(context);
  };
