import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(__dirname, '..', '..');
const rulesFile = join(root, '.dependency-cruiser.cjs');
const rules = jest
  .requireActual<{ forbidden: { name: string }[] }>(rulesFile)
  .forbidden.map(({ name }) => name);
const FOLDERS = ['domain', 'workflows', 'activities', 'drivers', 'workers', 'client', 'lab', 'bench', 'test'];

interface Report {
  readonly summary: { readonly totalCruised: number; readonly violations: readonly Violation[] };
}
interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string };
}

function cruise(folder: string): { files: number; violations: string[] } {
  const present = FOLDERS.filter((name) => existsSync(join(folder, name)));
  const program = join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
  const args = [program, '--config', rulesFile, '--output-type', 'json', ...present];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (stdout === '') throw new Error(`dependency-cruiser says: ${stderr}`);
  const { summary } = JSON.parse(stdout) as Report;
  return {
    files: summary.totalCruised,
    violations: summary.violations.map(
      ({ from, rule, to }) => `${from} breaks ${rule.name} by importing ${to}`,
    ),
  };
}

/** Rule, the file that breaks it, and how. The files imported exist and are innocent. */
const VIOLATIONS: readonly (readonly [rule: string, file: string, code: string])[] = [
  ['domain-imports-nothing', 'domain/reads-files.ts', "import 'node:fs';"],
  [
    'domain-imports-nothing',
    'domain/knows-a-port.ts',
    "import type { Port } from '../activities/ports/port';",
  ],
  [
    'workflows-see-activities-as-types',
    'workflows/calls.ts',
    "import { act } from '../activities/act'; act();",
  ],
  [
    'workflows-import-only-downwards',
    'workflows/starts.ts',
    "import type { Client } from '../client/client';",
  ],
  [
    'workflows-use-nothing-that-breaks-a-replay',
    'workflows/hashes.ts',
    "import { createHash } from 'node:crypto'; createHash('md5');",
  ],
  [
    'workflows-use-nothing-that-breaks-a-replay',
    'workflows/parses.ts',
    "import { z } from 'zod'; z.string();",
  ],
  [
    'activities-import-only-downwards',
    'activities/knows-a-workflow.ts',
    "import type { Input } from '../workflows/inputs';",
  ],
  [
    'ports-import-only-domain',
    'activities/ports/knows-its-user.ts',
    "import type { act } from '../act'; export type A = typeof act;",
  ],
  [
    'drivers-see-only-ports-and-domain',
    'drivers/fake/acts.ts',
    "import type { act } from '../../activities/act'; export type A = typeof act;",
  ],
  ['drivers-do-not-share', 'drivers/fake/borrows.ts', "import { other } from '../other/other'; other();"],
  [
    'only-workers-import-drivers',
    'client/drives.ts',
    "import { other } from '../drivers/other/other'; other();",
  ],
  [
    'client-imports-only-downwards',
    'client/runs.ts',
    "import { compose } from '../workers/compose'; compose();",
  ],
  [
    'cli-loads-what-runs-only-when-asked',
    'client/cli/heavy.ts',
    "import { compose } from '../../workers/compose'; compose();",
  ],
  [
    'client-sees-ports-as-types',
    'client/makes.ts',
    "import { made } from '../activities/ports/port'; made();",
  ],
  [
    'workers-import-no-command-line-and-no-lab',
    'workers/plays.ts',
    "import { lab } from '../lab/lab'; lab();",
  ],
  ['lab-knows-nothing-of-recovery', 'lab/cheats.ts', "import type { Input } from '../workflows/inputs';"],
  ['nobody-imports-tests', 'bench/tests.ts', "import { probe } from '../test/probe'; probe();"],
  ['no-cycles', 'bench/egg.ts', "import { hen } from './hen'; export const egg = (): unknown => hen;"],
];

const INNOCENT: Readonly<Record<string, string>> = {
  'domain/ids.ts': "export type HostId = string & { of: 'host' };",
  'workflows/inputs.ts':
    "import type { HostId } from '../domain/ids'; export interface Input { host: HostId }",
  'workflows/good.ts':
    "import { sleep } from '@temporalio/workflow'; import type { act } from '../activities/act'; export const good = (a: typeof act) => sleep(a());",
  'activities/act.ts':
    "import type { Port } from './ports/port'; export const act = (p?: Port) => (p ? 1 : 0);",
  'activities/ports/port.ts':
    "import type { HostId } from '../../domain/ids'; export interface Port { host: HostId } export const made = () => 1;",
  'drivers/other/other.ts':
    "import type { Port } from '../../activities/ports/port'; import 'pg'; export const other = (p?: Port) => p;",
  'drivers/child-processes/lane.ts': 'export const lane = () => 1;',
  'drivers/other/uses-the-floor.ts': "import { lane } from '../child-processes/lane'; lane();",
  'workers/compose.ts':
    "import { other } from '../drivers/other/other'; import { act } from '../activities/act'; export const compose = () => [other, act];",
  'client/client.ts':
    "import type { Port } from '../activities/ports/port'; import type { Input } from '../workflows/inputs'; export interface Client { i: Input; p: Port }",
  'client/cli/lazy.ts': "export const up = async () => (await import('../../workers/compose')).compose();",
  'lab/lab.ts': "import 'node:fs'; export const lab = () => 1;",
  'test/probe.ts': "import { other } from '../drivers/other/other'; export const probe = () => other();",
  'bench/hen.ts': "import { egg } from './egg'; export const hen = () => egg();",
};

describe('imports', () => {
  it('go one way only, all through this tree', () => {
    const { files, violations } = cruise(root);
    expect(violations).toEqual([]);
    // An empty answer about nothing would look the same.
    expect(files).toBeGreaterThan(50);
  }, 60_000);

  it('that go another way are reported, each by its rule, and innocent ones are not', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vmi-'));
    try {
      const tree = [
        ...VIOLATIONS.map(([, file, code]) => [file, code] as const),
        ...Object.entries(INNOCENT),
      ];
      for (const [file, code] of tree) {
        mkdirSync(dirname(join(folder, file)), { recursive: true });
        writeFileSync(join(folder, file), `${code}\nexport {};\n`);
      }
      const found = cruise(folder).violations.map((line) => line.replace(/ by importing .*/, ''));
      const expected = VIOLATIONS.map(([rule, file]) => `${file} breaks ${rule}`);
      expect(expected.filter((line) => !found.includes(line))).toEqual([]);
      const culprits = new Set(VIOLATIONS.map(([, file]) => file));
      expect(found.filter((line) => !culprits.has(line.split(' ')[0] ?? ''))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);

  it('have a violation here for every rule', () => {
    expect(new Set(VIOLATIONS.map(([rule]) => rule))).toEqual(new Set(rules));
  });
});
