import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labFile } from '../../../lab/lab-file';
import { endProcess, isAlive, readRecord, sendSignal } from '../../../lab/recorded-process';
import { waitFor } from '../../../lab/wait-for';
import { describeIf } from '../../support/optional';

let folder = '';
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vmedic-rec-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const record = (): string => join(folder, 'process');
const sleeper = () =>
  spawn(labFile('host/host'), ['recorded', folder, record(), 'sleep', '60'], { stdio: 'ignore' });

describeIf(
  process.platform === 'linux',
  'processes are known by /proc',
  'beyond-ci',
)('a recorded process', () => {
  it('has written itself down before it becomes its program, and is ended by that', async () => {
    const child = sleeper();
    const exited = once(child, 'exit');
    const seen = await waitFor('the record', 5_000, () => readRecord(record()));
    expect(seen.pid).toBe(child.pid);
    expect(isAlive(seen)).toBe(true);
    await endProcess(seen);
    expect(isAlive(seen)).toBe(false);
    await exited;
    await endProcess(seen);
  });

  it('is never mistaken for a later one with the same id', () => {
    const stranger = { pid: process.pid, startTime: '1' };
    expect(isAlive(stranger)).toBe(false);
    expect(sendSignal(stranger, 'SIGKILL')).toBe(false);
  });

  it('does not start once its lab is being taken down', async () => {
    writeFileSync(join(folder, 'down'), '');
    const [code] = (await once(sleeper(), 'exit')) as [number | null];
    expect(code).toBe(0);
    const seen = readRecord(record());
    expect(seen !== undefined && isAlive(seen)).toBe(false);
  });

  it.each(['', '12', '12 34'])('is nobody when its record was cut short: "%s"', (text) => {
    writeFileSync(record(), text);
    expect(readRecord(record())).toBeUndefined();
  });
});
