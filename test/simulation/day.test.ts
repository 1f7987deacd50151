/**
 * Days of flapping, splits and lost events. `VMEDIC_SEED=n` runs one of them; `VMEDIC_SOAK=true` runs many long ones. Not in every run: the same
 * seed gives other moments on another machine, and about one day in twenty leaves one VM down for a cause that is not known yet.
 */
import { judge } from '../support/judge';
import { describeIf } from '../support/optional';
import { aDay, type DayResult } from './day';

const soak = process.env['VMEDIC_SOAK'] === 'true';
const only = process.env['VMEDIC_SEED'];
const seeds = only !== undefined ? [Number(only)] : Array.from({ length: soak ? 20 : 1 }, (_, i) => i + 1);
const troublesADay = soak ? 150 : 30;
/** What was asked for once is asked for again no sooner than in a minute; twice that, and some. */
const patienceMs = 150_000;

describeIf(
  soak || only !== undefined,
  'one of it alone: VMEDIC_SEED=n; many: make soak',
  'beyond-ci',
)('a day of troubles', () => {
  it.each(seeds)(
    'comes to rest after day %i, with every VM running once, where its record says',
    async (seed) => {
      let day: DayResult | undefined;
      try {
        day = await aDay(seed, troublesADay, patienceMs);
        expect({ restless: day.restless, after: day.restless.length === 0 ? [] : day.told }).toEqual({
          restless: [],
          after: [],
        });
        await judge(day.system, { noticesLost: true });
      } finally {
        await day?.system.close();
      }
    },
  );
});
