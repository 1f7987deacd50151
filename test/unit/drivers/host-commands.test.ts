import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import {
  firstByteOf,
  lookFrom,
  lookScript,
  markFrom,
  markScript,
} from '../../../drivers/host-commands/console';
import {
  lookScript as diskScript,
  pathsToLookAt,
  sightsFrom,
} from '../../../drivers/host-commands/disk-sight';
import { ConsoleLooks } from '../../../drivers/host-commands/console-looks';
import { answerOf, shellLine } from '../../../drivers/host-commands/transport';
import { createHostCommands } from '../../../drivers/host-commands/host-commands';
import { hostId } from '../../../domain/ids';
import type { VmDisk } from '../../../domain/records';

const ended = (code: number, stderr = '') =>
  answerOf({ ended: 'exit', code, stdout: 'out', stderr, tookMs: 1 }, 1_000);
const sh = (script: string, ...args: string[]) =>
  execFileSync('sh', ['-c', script, 'sh', ...args], { encoding: 'utf8' });

describe('the end of a host command', () => {
  it.each([
    ['ssh: connect to host h port 22: No route to host', 'silent'],
    ['ssh: connect to host h port 22: Connection timed out', 'silent'],
    ['Timeout, server h not responding.', 'silent'],
    ['ssh: connect to host h port 22: Connection refused', 'refused'],
    ['user@h: Permission denied (publickey).', 'refused'],
    ['Host key verification failed.', 'refused'],
    ['Connection timed out during banner exchange', 'refused'],
    ['', 'not-run'],
    ['kex_exchange_identification: Connection closed by remote host', 'refused'],
  ])('with 255 and %j says that the host is %s', (stderr, kind) => {
    expect(ended(255, stderr).kind).toBe(kind);
  });

  it('with 255 from the command itself says nothing of the host', () => {
    expect(ended(255, 'nbd: failed').kind).toBe('ran');
  });

  it('with the words of ssh but another code is the command’s own', () => {
    expect(ended(1, 'Connection refused').kind).toBe('ran');
  });

  it.each([
    { ended: 'lost' },
    { ended: 'not-started', why: 'no process' },
    { ended: 'cancelled', stdout: '', stderr: '' },
  ] as const)('on our own side (%j) is no sign of the host', (end) => {
    expect(answerOf(end, 1_000).kind).toBe('not-run');
  });

  it('at the deadline is silence', () => {
    expect(answerOf({ ended: 'deadline', stdout: '0 usable\n', stderr: '' }, 1_000)).toMatchObject({
      kind: 'silent',
      partial: '0 usable\n',
    });
  });
});

describe('a host that runs commands and cannot tell its boot id', () => {
  it.each([
    ['ends with an error, as on a root disk that is gone', 126, ''],
    ['prints nothing', 0, ''],
  ])('is a sign of a kernel that answers, and no error, when the command %s', async (_, code, stdout) => {
    const end = { ended: 'exit', code, stdout, stderr: 'Input/output error', tookMs: 1 } as const;
    const gateway = { run: () => Promise.resolve(end), close: () => Promise.resolve() };
    const id = hostId('hv-a');
    const transport = { driver: 'namespace', enter: ['env'] } as const;
    const commands = createHostCommands({ hosts: [{ id, transport }], gateway: gateway as never });
    const answer = await commands.bootId(id, new AbortController().signal);
    expect(answer).toMatchObject({ says: 'refused' });
    await commands.close();
  });
});

it('looks at a host while all the repairs it can bear go on there', async () => {
  const end = { ended: 'exit', code: 0, stdout: 'boot-1234567', stderr: '', tookMs: 1 } as const;
  const over: (() => void)[] = [];
  const run = ({ deadlineMs }: { deadlineMs: number }) =>
    deadlineMs < 60_000
      ? Promise.resolve(end)
      : new Promise<typeof end>((resolve) => over.push(() => resolve(end)));
  const id = hostId('hv-a');
  const transport = { driver: 'namespace', enter: ['env'] } as const;
  const commands = createHostCommands({ hosts: [{ id, transport }], gateway: { run } as never });
  const { signal } = new AbortController();
  const repairs = Array.from({ length: 6 }, () => commands.runScript(id, 'true', [], 7_200_000, signal));
  await expect(commands.bootId(id, signal)).resolves.toMatchObject({ says: 'answers' });
  expect(over).toHaveLength(2);
  const all = Promise.all(repairs);
  for (let ended = 0; ended < repairs.length; await new Promise(setImmediate))
    for (const finish of over.splice(0)) ended += (finish(), 1);
  await all;
  await commands.close();
});

it('hands every argument to the login shell as it is', () => {
  const nasty = ['a b', "it's", '$(touch /x)', '`id`', '', '*', 'é\n'];
  expect(sh(`printf '%s|' ${shellLine(nasty)}`)).toBe(nasty.map((a) => `${a}|`).join(''));
});

describe('disks', () => {
  const folder = mkdtempSync(join(tmpdir(), 'disks-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const disk = (path: string): VmDisk => ({
    device: 'vda',
    path,
    format: 'raw',
    poolId: undefined,
    shareable: false,
  });

  it('are seen as they are, a folder in the place of a disk as well', () => {
    const good = join(folder, "it's good");
    writeFileSync(good, 'x');
    const disks = [good, join(folder, 'none'), folder].map(disk);
    const paths = pathsToLookAt(disks);
    expect(sightsFrom(disks, paths, sh(diskScript, ...paths), 1_000)).toMatchObject([
      { seen: 'usable' },
      { seen: 'missing' },
      { seen: 'unreadable', detail: expect.stringMatching(/directory/i) },
    ]);
  });

  it('that were not reported hung, and hide none of the others', () => {
    const disks = ['/a', '/b', '/c'].map(disk);
    expect(sightsFrom(disks, ['/a', '/b', '/c'], '2 usable\n0 missing\n', 6_000)).toMatchObject([
      { path: '/a', seen: 'missing' },
      { path: '/b', seen: 'hung', detail: expect.stringContaining('6000 ms') },
      { path: '/c', seen: 'usable' },
    ]);
  });

  it('that only QEMU can open are not called usable', () => {
    expect(sightsFrom([disk('rbd:pool/x')], [], '', 1_000)).toMatchObject([{ seen: 'unreadable' }]);
  });
});

describe('a console', () => {
  const folder = mkdtempSync(join(tmpdir(), 'console-'));
  const file = join(folder, 'c');
  afterAll(() => rmSync(folder, { recursive: true }));
  const mark = () => markFrom(sh(markScript, file))!;
  const look = (m: { consoleBytes: number; consoleTail?: string }) =>
    lookFrom(sh(lookScript, file, String(firstByteOf(m))).split('\n')[0], m);

  it('that does not exist has printed nothing', () => {
    expect(mark()).toEqual({ consoleBytes: 0 });
    expect(look({ consoleBytes: 0 })).toEqual({ kind: 'new-output', text: '' });
  });

  it.each([10, 256, 257, 5_000])(
    'shows after a mark at %d bytes what was printed since, and no byte more',
    (size) => {
      writeFileSync(file, 'old login:'.padStart(size, '.'));
      const marked = mark();
      expect(marked.consoleBytes).toBe(size);
      expect(look(marked)).toEqual({ kind: 'new-output', text: '' });
      writeFileSync(file, 'fresh é\0', { flag: 'a' });
      expect(look(marked)).toEqual({ kind: 'new-output', text: 'fresh é\0' });
    },
  );

  it('that was begun anew is noticed, also when it has grown beyond the mark', () => {
    writeFileSync(file, 'x'.repeat(1_000));
    const marked = mark();
    writeFileSync(file, 'y'.repeat(2_000));
    expect(look(marked)).toEqual({ kind: 'begun-anew' });
    writeFileSync(file, 'short');
    expect(look(marked)).toEqual({ kind: 'begun-anew' });
    expect(look({ consoleBytes: 0 })).toEqual({ kind: 'new-output', text: 'short' });
  });

  it('whose size is not understood gives no mark', () => {
    expect(markFrom('wc: error')).toBeUndefined();
    expect(lookFrom('', { consoleBytes: 0 })).toBeUndefined();
  });

  it('that cannot be read is no empty one', () => {
    expect(lookFrom('!', { consoleBytes: 0 })).toBeUndefined();
    expect(lookFrom(undefined, { consoleBytes: 0 })).toBeUndefined();
  });
});

describe('looks at many consoles of a host', () => {
  const folder = mkdtempSync(join(tmpdir(), 'consoles-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const host = hostId('hv-a');
  const fresh = { consoleBytes: 0 };
  const never = () => new AbortController().signal;
  const written = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  /** Runs the real script, each run when it is let go. */
  function gated() {
    const runs: { readonly consoles: number; go: () => void }[] = [];
    const looks = new ConsoleLooks(async (_, args) => {
      await new Promise<void>((go) => runs.push({ consoles: args.length / 2, go }));
      return sh(lookScript, ...args);
    });
    return { runs, looks };
  }
  const turn = () => new Promise((resolve) => setTimeout(resolve, 10));

  it('asked at the same time cost one command, and each is told of its own', async () => {
    const { runs, looks } = gated();
    const texts = ['a up', '', 'c up'];
    const asked = texts.map((text, n) => looks.look(host, written(`t${n}`, text), fresh, never()));
    const gone = looks.look(host, join(folder, 'no-such'), fresh, never());
    await turn();
    expect(runs.map((r) => r.consoles)).toEqual([4]);
    runs[0]!.go();
    expect(await Promise.all(asked)).toEqual(texts.map((text) => ({ kind: 'new-output', text })));
    expect(await gone).toEqual({ kind: 'new-output', text: '' });
  });

  it('are never answered by a command that was begun before they were asked for', async () => {
    const { runs, looks } = gated();
    const path = written('later', '');
    const first = looks.look(host, path, fresh, never());
    await turn();
    const second = looks.look(host, path, fresh, never());
    await turn();
    expect(runs).toHaveLength(1);
    runs[0]!.go();
    expect(await first).toEqual({ kind: 'new-output', text: '' });
    await turn();
    written('later', 'up');
    runs[1]!.go();
    expect(await second).toEqual({ kind: 'new-output', text: 'up' });
  });

  it('that were cut off at the deadline are answered as far as the command came', async () => {
    const looks = new ConsoleLooks(() => Promise.resolve(`+${Buffer.from('up').toString('base64')}\n+aGFs`));
    const done = looks.look(host, '/a', fresh, never());
    const cut = looks.look(host, '/b', fresh, never());
    expect(await done).toEqual({ kind: 'new-output', text: 'up' });
    await expect(cut).rejects.toMatchObject({ fault: { code: 'HOST_COMMAND_FAILED' } });
  });

  it('end for a caller that gives up, and for nobody else', async () => {
    const { runs, looks } = gated();
    const giveUp = new AbortController();
    const given = looks.look(host, written('mine', 'up'), fresh, giveUp.signal);
    const others = looks.look(host, written('theirs', 'up'), fresh, never());
    await turn();
    giveUp.abort();
    await expect(given).rejects.toMatchObject({ fault: { code: 'HOST_COMMAND_FAILED' } });
    runs[0]!.go();
    expect(await others).toEqual({ kind: 'new-output', text: 'up' });
  });
});
