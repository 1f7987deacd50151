import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { EarlyLooks } from '../../../activities/watch-hints';

const everyMs = 200;

/** How long each of so many pauses took, while `hints` gives hints. */
const pauses = (count: number, hints: (looks: EarlyLooks) => NodeJS.Timeout | undefined): Promise<number[]> =>
  new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(async () => {
    const looks = new EarlyLooks(everyMs, new AbortController().signal);
    const timer = hints(looks);
    const took: number[] = [];
    for (let i = 0; i < count; i += 1) {
      const begunMs = performance.now();
      await looks.pause(everyMs);
      took.push(performance.now() - begunMs);
    }
    clearInterval(timer);
    return took;
  });

it('waits the whole interval when nothing is heard', async () => {
  const [only] = await pauses(1, () => undefined);
  expect(only).toBeGreaterThan(everyMs - 5);
});

it('looks early after a hint, and only once', async () => {
  const [first, second] = await pauses(2, (looks) => setTimeout(() => looks.hint(), 20));
  expect(first).toBeLessThan(everyMs - 50);
  expect(second).toBeGreaterThan(everyMs - 5);
});

it('looks early after a hint that came during the look before', async () => {
  const [first] = await pauses(1, (looks) => {
    looks.hint();
    return undefined;
  });
  expect(first).toBeLessThan(everyMs - 50);
});

it('takes at most one extra look in each interval, however many hints there are', async () => {
  const flood = await pauses(6, (looks) => setInterval(() => looks.hint(), 5));
  const overMs = flood.reduce((sum, ms) => sum + ms, 0);
  // Six pauses: at most every second of them is a short one.
  expect(overMs).toBeGreaterThan(everyMs * 2.5);
  expect(Math.min(...flood)).toBeLessThan(everyMs - 50);
});
