/** The gateway with real processes: what it starts it also ends, and its own death loses nobody's answer. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChildGateway, openChildGateway, type Printed } from '../../drivers/child-processes';
import { Lane } from '../../drivers/child-processes/lane';
import { hostId } from '../../domain/ids';
import { eventually, faultCode, notAborted, within } from './contract';

const loader = join(__dirname, '../support/typescript-child.cjs');
const folder = mkdtempSync(join(tmpdir(), 'gateway-'));
let gateway: ChildGateway;
let files = 0;
const writers: number[] = [];

beforeEach(() => {
  gateway = openChildGateway({ execArgv: ['-r', loader] });
});
afterEach(async () => {
  for (const fd of writers.splice(0)) closeSync(fd);
  await gateway.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (script: string, args: string[] = [], deadlineMs = 20_000, signal = notAborted()) =>
  gateway.run({ command: 'sh', args: ['-c', script, 'sh', ...args], deadlineMs }, signal);

/** A shell that starts a grandchild, writes both ids down and hangs. */
const hanging = 'sleep 300 & echo "$$ $!" > "$1.new" && mv "$1.new" "$1"; wait';
const newFile = (): string => join(folder, `pids-${(files += 1)}`);

async function pidsIn(file: string): Promise<number[]> {
  await eventually(20_000, async () => existsSync(file));
  return readFileSync(file, 'utf8').trim().split(' ').map(Number);
}

/** A dead process that nobody has collected yet does not live. */
const lives = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};
const allGone = async (pids: readonly number[]): Promise<boolean> => !pids.some(lives);

/** A program that somebody has open for writing: the kernel refuses to run it. */
function busyProgram(): { command: string; args: string[] } {
  const command = join(folder, `busy-${(files += 1)}`);
  writeFileSync(command, '#!/bin/sh\n', { mode: 0o755 });
  writers.push(openSync(command, 'r+'));
  return { command, args: [] };
}

it('hands over input, output, errors and the exit code', async () => {
  const request = {
    command: 'sh',
    args: ['-c', 'cat; echo "$X" >&2; exit 3'],
    stdin: 'in',
    env: { X: 'err' },
    deadlineMs: 9_000,
  };
  expect(await gateway.run(request, notAborted())).toMatchObject({
    ended: 'exit',
    code: 3,
    stdout: 'in',
    stderr: 'err\n',
  });
});

it('says of a program that is not there that nothing was started', async () => {
  const end = await gateway.run({ command: '/no/such/program', args: [], deadlineMs: 1_000 }, notAborted());
  expect(end.ended).toBe('not-started');
});

it.each([
  ['is being written', /ETXTBSY/, busyProgram],
  ['is given more than may be given', /E2BIG/, () => ({ command: 'true', args: ['x'.repeat(200_000)] })],
  ['is given what no program can be given', /null bytes/, () => ({ command: 'true', args: ['a\0b'] })],
])('says of a program that %s that nothing was started, and serves all others', async (_, why, program) => {
  const before = run('sleep 1; echo before');
  await run('true');
  const { pid } = gateway;
  const end = await gateway.run({ ...program(), deadlineMs: 9_000 }, notAborted());
  expect(end).toEqual({ ended: 'not-started', why: expect.stringMatching(why) as string });
  expect(await run('echo after')).toMatchObject({ ended: 'exit', stdout: 'after\n' });
  expect(await before).toMatchObject({ ended: 'exit', stdout: 'before\n' });
  expect(gateway.pid).toBe(pid);
});

it('ends a child and its grandchildren at the deadline, and hands over what was printed', async () => {
  const file = newFile();
  const call = run(`echo early; ${hanging}`, [file], 1_500);
  const pids = await pidsIn(file);
  expect(pids.every(lives)).toBe(true);
  expect(await call).toMatchObject({ ended: 'deadline', stdout: 'early\n' });
  await eventually(5_000, () => allGone(pids));
});

it('ends a child and its grandchildren when the caller gives up', async () => {
  const file = newFile();
  const giveUp = new AbortController();
  const call = run(hanging, [file], 60_000, giveUp.signal);
  const pids = await pidsIn(file);
  giveUp.abort();
  expect((await call).ended).toBe('cancelled');
  await eventually(5_000, () => allGone(pids));
});

it('hands over all that was printed, also when the gateway was held up right after the exit', async () => {
  const bytes = 3_000_000;
  const call = run(`head -c ${bytes} /dev/zero | tr '\\0' x; exec sleep 0.2`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  process.kill(gateway.pid as number, 'SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  process.kill(gateway.pid as number, 'SIGCONT');
  const end = await call;
  expect(end.ended === 'exit' && end.stdout.length).toBe(bytes);
});

it('does not wait for a daemon that keeps the pipes open', async () => {
  expect(await within(10_000, run('setsid sleep 60 & echo started', [], 60_000))).toBeLessThan(10_000);
});

it('answers every call in flight when it is killed, ends their children, and serves the next call', async () => {
  const file = newFile();
  const inFlight = run(hanging, [file], 60_000);
  const pids = await pidsIn(file);
  const before = gateway.pid as number;
  process.kill(before, 'SIGKILL');
  expect(await inFlight).toEqual({ ended: 'lost' });
  await eventually(5_000, () => allGone(pids));
  const next = await run('echo well');
  expect(next).toMatchObject({ ended: 'exit', stdout: 'well\n' });
  expect(gateway.pid).not.toBe(before);
});

it('keeps calls that come while it is dead for the next one', async () => {
  await run('true');
  process.kill(gateway.pid as number, 'SIGKILL');
  const ends = await Promise.all(Array.from({ length: 5 }, (_, n) => run(`echo ${n}`)));
  // Those that were handed over before its death was noticed are lost, and say so; none is left without an answer.
  for (const end of ends) expect(['exit', 'lost']).toContain(end.ended);
  expect(await run('echo after')).toMatchObject({ ended: 'exit', stdout: 'after\n' });
});

it('is replaced when it is stopped and misses its own deadlines', async () => {
  await run('true');
  const stopped = gateway.pid as number;
  process.kill(stopped, 'SIGSTOP');
  const end = await run('echo x', [], 100);
  expect(end.ended).toBe('lost');
  expect(await run('echo well')).toMatchObject({ ended: 'exit', stdout: 'well\n' });
}, 60_000);

describe('goes with its parent, and so does everything it started,', () => {
  const parentOf = (file: string, extra = ''): ChildProcess => {
    const script = join(folder, `parent-${files}.ts`);
    const request = { command: 'sh', args: ['-c', hanging, 'sh', file], deadlineMs: 600_000 };
    writeFileSync(
      script,
      `import { openChildGateway } from ${JSON.stringify(join(__dirname, '../../drivers/child-processes'))};
       const gateway = openChildGateway();
       void gateway.run(${JSON.stringify(request)}, new AbortController().signal);
       ${extra}`,
    );
    return spawn(process.execPath, ['-r', loader, script], { stdio: 'ignore' });
  };

  it('when the parent is killed while its children run', async () => {
    const file = newFile();
    const parent = parentOf(file);
    const pids = await pidsIn(file);
    expect(pids.every(lives)).toBe(true);
    parent.kill('SIGKILL');
    await eventually(10_000, () => allGone(pids));
  });

  it('when the parent is killed while it is being told of them', async () => {
    const file = newFile();
    const busy = `const more = { command: 'true', args: [], deadlineMs: 9000 };
       const on = () => void gateway.run(more, new AbortController().signal).then(on);
       for (let i = 0; i < 8; i++) on();`;
    const parent = parentOf(file, busy);
    const pids = await pidsIn(file);
    parent.kill('SIGKILL');
    await eventually(10_000, () => allGone(pids));
    expect(pids.some(lives)).toBe(false);
  });
});

it('lets no hung child take the slot of another for long', async () => {
  const narrow = openChildGateway({ execArgv: ['-r', loader], childrenMax: 2 });
  const giveUp = new AbortController();
  const hung = Array.from({ length: 4 }, () =>
    narrow.run({ command: 'sleep', args: ['60'], deadlineMs: 60_000 }, giveUp.signal),
  );
  const well = narrow.run({ command: 'echo', args: ['well'], deadlineMs: 9_000 }, notAborted());
  await within(10_000, well);
  expect(await well).toMatchObject({ ended: 'exit', stdout: 'well\n' });
  giveUp.abort();
  for (const end of await Promise.all(hung)) expect(end.ended).toBe('cancelled');
  await narrow.close();
}, 30_000);

describe('a child that stays', () => {
  const follow = (script: string, printed: Printed, signal = notAborted(), deadlineMs = 60_000) =>
    gateway.follow({ command: 'sh', args: ['-c', script], deadlineMs }, printed, signal);

  it('is heard while it lives, line by line, and nothing of it is kept', async () => {
    let heard = '';
    const giveUp = new AbortController();
    const call = follow('echo one; sleep 0.3; echo two; exec sleep 60', (t) => (heard += t), giveUp.signal);
    await eventually(20_000, async () => heard === 'one\ntwo\n');
    giveUp.abort();
    expect(await call).toEqual({ ended: 'cancelled', stdout: '', stderr: '' });
  });

  it('ends at its deadline, which is the end of its turn', async () => {
    expect(await follow('exec sleep 60', () => undefined, notAborted(), 300)).toMatchObject({
      ended: 'deadline',
    });
  });

  it('says how it ended by itself, and why', async () => {
    const said: string[] = [];
    const end = await follow('echo lost >&2; exit 1', (text, to) => said.push(`${to}: ${text}`));
    expect(end).toMatchObject({ ended: 'exit', code: 1 });
    expect(said.join('')).toBe('err: lost\n');
  });

  it('hears what it is told, in order, also what was said before it was there', async () => {
    let heard = '';
    const giveUp = new AbortController();
    const request = { command: 'cat', args: [], deadlineMs: 60_000 };
    const talk = gateway.talk(request, (text) => (heard += text), giveUp.signal);
    talk.write('one ');
    await eventually(20_000, async () => heard === 'one ');
    talk.write('two ');
    talk.write('three');
    await eventually(20_000, async () => heard === 'one two three');
    giveUp.abort();
    expect((await talk.ended).ended).toBe('cancelled');
    talk.write('to nobody');
  });

  it('takes nobody’s slot', async () => {
    const narrow = openChildGateway({ execArgv: ['-r', loader], childrenMax: 1 });
    const giveUp = new AbortController();
    const request = { command: 'sleep', args: ['60'], deadlineMs: 60_000 };
    // More than may run at all, young and old together.
    const listened = Array.from({ length: 6 }, () => narrow.follow(request, () => undefined, giveUp.signal));
    const well = narrow.run({ command: 'echo', args: ['well'], deadlineMs: 9_000 }, notAborted());
    await within(10_000, well);
    expect(await well).toMatchObject({ ended: 'exit', stdout: 'well\n' });
    giveUp.abort();
    for (const end of await Promise.all(listened)) expect(end.ended).toBe('cancelled');
    await narrow.close();
  }, 30_000);
});

it('has ended everything once it is closed', async () => {
  const file = newFile();
  const call = run(hanging, [file], 60_000);
  const pids = await pidsIn(file);
  await gateway.close();
  expect(await call).toEqual({ ended: 'lost' });
  await eventually(5_000, () => allGone(pids));
  expect((await run('true')).ended).toBe('not-started');
});

describe('a lane', () => {
  const host = hostId('h');
  const never = (): Promise<void> => new Promise(() => undefined);

  it('runs so many at once, keeps so many waiting, and refuses the rest at once', async () => {
    const lane = new Lane(host, { atOnce: 1, queueMax: 1, waitMsMax: 60_000 });
    let finish: () => void = () => undefined;
    const first = lane.run(() => new Promise<void>((resolve) => (finish = resolve)), notAborted());
    const second = lane.run(() => Promise.resolve('second'), notAborted());
    expect(await faultCode(lane.run(never, notAborted()))).toBe('HYPERVISOR_BUSY');
    finish();
    await first;
    expect(await second).toBe('second');
    expect(await lane.run(() => Promise.resolve('third'), notAborted())).toBe('third');
  });

  it('lets nobody wait for long, nor run once they have given up', async () => {
    const lane = new Lane(host, { atOnce: 1, queueMax: 9, waitMsMax: 50 });
    void lane.run(never, notAborted());
    let ran = false;
    const call = lane.run(async () => {
      ran = true;
    }, notAborted());
    expect(await faultCode(call)).toBe('HYPERVISOR_BUSY');
    expect(await faultCode(lane.run(never, AbortSignal.timeout(5)))).toBe('HYPERVISOR_BUSY');
    expect(await faultCode(lane.run(never, AbortSignal.abort()))).toBe('HYPERVISOR_BUSY');
    expect(ran).toBe(false);
  });

  it('gives its place on when work fails', async () => {
    const lane = new Lane(host, { atOnce: 1, queueMax: 9, waitMsMax: 1_000 });
    await expect(lane.run(() => Promise.reject(new Error('x')), notAborted())).rejects.toThrow('x');
    expect(await lane.run(() => Promise.resolve(1), notAborted())).toBe(1);
  });
});
