/**
 * Days of flapping, splits and lost events. `VMEDIC_SEED=n` runs one of them; `VMEDIC_SOAK=true` runs many long ones. Not in every run: the same
 * seed gives other moments on another machine, and a few in a hundred do not come to rest. One cause is known: a VM that was moved by hand while no watch
 * looked, and was then paused by its disk, waits for a person, whom nobody plays here. Once, on an overloaded machine, a watch that began late acted on
 * nothing, for a cause that is not known. What does not come to rest says what the watch and each run are at.
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
