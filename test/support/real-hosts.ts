import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { LabAvailability } from '../../lab/availability';
import { describeIf } from './optional';

/** Asked by a process of its own, because jest collects tests without waiting for an answer. */
function ask(): LabAvailability {
  const script = `require(${JSON.stringify(join(__dirname, '../../lab/availability'))}).labAvailability().then((a) => process.stdout.write(JSON.stringify(a)))`;
  const child = spawnSync(process.execPath, ['-r', join(__dirname, 'typescript-child.cjs'), '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (child.status !== 0) throw new Error(`nobody could say whether real hosts can be had: ${child.stderr}`);
  return JSON.parse(child.stdout) as LabAvailability;
}

function reasonAgainst(): string | undefined {
  if (process.getuid?.() === 0) return 'real hosts are run by an ordinary user: make test sees to it';
  const found = ask();
  return found.available ? undefined : `${found.why}; ${found.cure}`;
}

const reason = reasonAgainst();

/** `describe` for tests on real hosts; left out with the reason where there can be none. */
export const describeOnRealHosts: jest.Describe = describeIf(reason === undefined, reason ?? 'there are');
