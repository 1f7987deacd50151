import { setTimeout as delay } from 'node:timers/promises';
import { run } from '../../../lab/run';

/** As a machine does that has no CPU for this process. */
function starve(ms: number): void {
  for (const until = Date.now() + ms; Date.now() < until;);
}

it('loses nothing that was printed while this process was starved of CPU', async () => {
  const ran = run('sh', ['-c', '(sleep 0.15; echo late; sleep 5) & echo now'], { timeoutMs: 10_000 });
  await delay(100);
  // Right before the event loop looks at its timers, which it does before it looks at pipes.
  await new Promise((resolve) => setImmediate(resolve));
  starve(800);
  expect(await ran).toMatchObject({ code: 0, stdout: 'now\nlate\n' });
});

it('does not wait for what a child leaves behind with its pipes open', async () => {
  const ran = await run('sh', ['-c', 'sleep 30 & echo $!'], { timeoutMs: 10_000 });
  expect(ran).toMatchObject({ code: 0, timedOut: false });
  process.kill(Number(ran.stdout), 'SIGKILL');
});
