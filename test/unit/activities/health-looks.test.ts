/** What is known of a guest's health when looks at it fail. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { environment } from '../../../activities/environment';
import type { Ports } from '../../../activities/ports';
import { becomesHealthy } from '../../../activities/settle';
import { DriverFault } from '../../../domain/faults';
import type { Fleet } from '../../../domain/fleet';
import { hostId } from '../../../domain/ids';

const host = hostId('hv-a');

beforeEach(() => jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] }));
afterEach(() => jest.useRealTimers());

it.each([
  ['yes', 'a look finds it well', ['silent', 'not-well', 'well']],
  ['no', 'the last look was answered', ['silent', 'not-well']],
  ['not-known', 'the host is silent throughout', ['silent']],
  ['not-known', 'the host fell silent on the way', ['not-well', 'silent']],
] as const)('is %s when %s', async (known, _, looks) => {
  const left: string[] = [...looks];
  const isHealthy = (): Promise<boolean> => {
    const look = left.length > 1 ? left.shift() : left[0];
    if (look === 'silent') throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: 'no answer' });
    return Promise.resolve(look === 'well');
  };
  const env = environment({ hostCommands: { isHealthy } } as unknown as Ports, {} as Fleet);
  const check = { kind: 'console', pattern: 'login:', timeoutMs: 10_000, waitMs: 10_000 } as const;
  const asked = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(
    () => becomesHealthy(env, {} as never, host, check, { consoleBytes: 0 }) as never,
  );
  await jest.advanceTimersByTimeAsync(15_000);
  await expect(asked).resolves.toBe(known);
});
