import { getEventListeners } from 'node:events';
import { CancelledFailure, Context } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pause } from '../../../activities/environment';

const activity = (): MockActivityEnvironment =>
  new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });

/** How often somebody began to wait for the activity's cancellation while `wait` was repeated, and who still does. */
const leftBehind = (wait: () => Promise<void>): Promise<{ waits: number; listeners: number }> =>
  activity().run(async () => {
    const { cancelled, cancellationSignal } = Context.current();
    const before = getEventListeners(cancellationSignal, 'abort').length;
    const then = jest.spyOn(cancelled, 'then');
    for (let i = 0; i < 50; i += 1) await wait();
    const listeners = getEventListeners(cancellationSignal, 'abort').length - before;
    return { waits: then.mock.calls.length, listeners };
  });

it('leaves nothing behind, however often an activity of many days waits', async () => {
  expect(await leftBehind(() => pause(0))).toEqual({ waits: 0, listeners: 0 });
});

it('is missed by no test: what the SDK leaves behind is counted', async () => {
  const { waits } = await leftBehind(() => Context.current().sleep(0));
  expect(waits).toBe(50);
});

it('waits for as long as it was asked to', async () => {
  const tookMs = await activity().run(async () => {
    const begunMs = performance.now();
    await pause(30);
    return performance.now() - begunMs;
  });
  expect(tookMs).toBeGreaterThan(28);
});

it('ends at once when the activity is cancelled, and when it was cancelled before', async () => {
  const env = activity();
  const waiting = env.run(async () => {
    setImmediate(() => env.cancel());
    await pause(60_000);
  });
  await expect(waiting).rejects.toBeInstanceOf(CancelledFailure);
  const later = env.run(() => pause(60_000));
  await expect(later).rejects.toBeInstanceOf(CancelledFailure);
});
