import { sideBySide } from '../../../activities/side-by-side';

const broken = new TypeError('a defect of ours');

const aborted = (over: AbortSignal): Promise<void> =>
  new Promise((resolve) => over.addEventListener('abort', () => resolve(), { once: true }));

it('ends all when one throws, each after what it is doing, and then throws that error', async () => {
  const done: string[] = [];
  const both = sideBySide([
    async (over) => {
      await aborted(over);
      await new Promise((resolve) => setTimeout(resolve, 50));
      done.push('finished');
    },
    async (over) => {
      await aborted(over);
      throw new Error('what came of the end');
    },
    () => Promise.reject(broken),
  ]);
  await expect(both).rejects.toBe(broken);
  expect(done).toEqual(['finished']);
});

it('waits for one that hangs no longer than it is told to', async () => {
  const hangs = (): Promise<void> => new Promise(() => undefined);
  await expect(sideBySide([hangs, () => Promise.reject(broken)], 20)).rejects.toBe(broken);
});

it('lets one that has ended by itself end nobody else', async () => {
  let ended = false;
  const later = async (over: AbortSignal): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    ended = !over.aborted;
  };
  await sideBySide([() => Promise.resolve(), later]);
  expect(ended).toBe(true);
});
