import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

const root = join(__dirname, '..', '..');
const LINES_MAX = 400;
const COLUMNS_MAX = 240;

interface TextFile {
  readonly path: string;
  readonly text: string;
}

interface Rule {
  readonly name: string;
  /** What is wrong with the file; empty when nothing is. */
  judge(file: TextFile): string[];
}

const CODE = new Set(['.ts', '.js', '.mjs', '.cjs', '.sh', '.asm', '.go', '.py']);
const isCode = (path: string): boolean =>
  CODE.has(extname(path)) || /^(bin|\.ci|lab\/(install|host))\/[^.]+$/.test(path);
/** Made by a program, or shown as it came out of one. */
const isMade = (path: string): boolean =>
  /^(package-lock\.json|LICENSE|drivers\/postgres\/migrations\/|test\/replay\/histories\/|docs\/decisions\/evidence\/)|go\.(sum|mod)$|\.(hex|svg)$/.test(
    path,
  );
/** Spelled in halves, so that this file does not break its own rules. */
const word = (...halves: string[]): string => halves.join('');

const BANNED = [
  {
    pattern: new RegExp(
      `\\b(${word('TO', 'DO')}|${word('FIX', 'ME')}|${word('XX', 'X')}|${word('HA', 'CK')})\\b`,
    ),
    why: 'unfinished work belongs in an issue',
  },
  {
    pattern: new RegExp(
      `(^|[^\\w.])/(${word('ro', 'ot')}|${word('wo', 'rk')}(space)?|${word('Us', 'ers')})/[\\w.-]+`,
    ),
    why: 'a path of one machine',
  },
  { pattern: /\bdescribe\.only\b|\bit\.only\b|\bfdescribe\(|\bfit\(/, why: 'it leaves out every other test' },
  { pattern: /[\u{1F300}-\u{1FAFF}]/u, why: 'no emoji' },
];

const lines = (text: string): string[] => text.split('\n');

const RULES: readonly Rule[] = [
  {
    name: 'a file of code has at most 400 lines',
    judge({ path, text }) {
      const count = lines(text.trimEnd()).length;
      return isCode(path) && count > LINES_MAX ? [`${count} lines`] : [];
    },
  },
  {
    name: 'a line of code fits on a screen',
    judge: ({ path, text }) =>
      isCode(path)
        ? at(text, (line) => line.length > COLUMNS_MAX).map((n) => `line ${n} is longer than ${COLUMNS_MAX}`)
        : [],
  },
  {
    name: 'no file holds a banned word or the path of a machine',
    judge: ({ text }) =>
      BANNED.flatMap(({ pattern, why }) =>
        at(text, (line) => pattern.test(line)).map((n) => `line ${n}: ${why}`),
      ),
  },
  {
    name: 'no file or folder is a catch-all',
    judge: ({ path }) =>
      /(^|\/)(utils?|helpers?|managers?|common|misc)(\.[a-z]+)*(\/|$)/.test(path)
        ? ['name it by its subject']
        : [],
  },
  {
    name: 'file names are in kebab-case',
    judge: ({ path }) =>
      extname(path) === '.ts' && !/^[a-z0-9.-]+$/.test(path.split('/').at(-1) ?? '')
        ? ['lower case, words joined by hyphens']
        : [],
  },
  {
    name: 'a file ends with exactly one line end and holds no tabs or blanks before it',
    judge({ path, text }) {
      const problems = text !== '' && !/[^\n]\n$/.test(text) ? ['its end'] : [];
      if (!path.endsWith('.md'))
        problems.push(...at(text, (line) => /[ \t]$/.test(line)).map((n) => `line ${n} ends in blanks`));
      return problems;
    },
  },
];

function at(text: string, wrong: (line: string) => boolean): number[] {
  return lines(text).flatMap((line, index) => (wrong(line) ? [index + 1] : []));
}

function judgeAll(files: readonly TextFile[]): string[] {
  return files.flatMap((file) =>
    RULES.flatMap(({ name, judge }) => judge(file).map((what) => `${file.path}: ${what} (${name})`)),
  );
}

/** What is, or is about to be, in the repository. A copy without git's records has nothing to judge. */
function tree(): TextFile[] | undefined {
  const listed = spawnSync(
    'git',
    // The checkout may belong to another user than the one who runs the tests.
    ['-c', `safe.directory=${root}`, 'ls-files', '--cached', '--others', '--exclude-standard', '-z'],
    { cwd: root, encoding: 'utf8' },
  );
  if (listed.error || listed.status !== 0) return undefined;
  return listed.stdout
    .split('\0')
    .filter((path) => path !== '' && !isMade(path) && existsSync(join(root, path)))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
    .filter(({ text }) => !text.includes('\0'));
}

describe('the tree is tidy', () => {
  it('in every file', () => {
    const files = tree();
    expect(files?.length).toBeGreaterThan(50);
    expect(judgeAll(files ?? [])).toEqual([]);
  });

  it.each<[rule: string, file: TextFile]>([
    ['at most 400 lines', { path: 'domain/long.ts', text: 'const a = 1;\n'.repeat(401) }],
    ['fits on a screen', { path: 'domain/wide.ts', text: `${'x'.repeat(COLUMNS_MAX + 1)}\n` }],
    ['banned word', { path: 'domain/later.ts', text: `// ${word('TO', 'DO')}: finish\n` }],
    ['banned word', { path: 'docs/notes.md', text: `see ${word('/wo', 'rk/somewhere')}\n` }],
    ['banned word', { path: 'lab/run.sh', text: `cd ${word('/ro', 'ot/vmedic')}\n` }],
    ['banned word', { path: 'test/unit/one.test.ts', text: `${word('it.', 'only')}('x', f);\n` }],
    ['catch-all', { path: 'drivers/utils.ts', text: 'const a = 1;\n' }],
    ['catch-all', { path: 'lab/helpers/a.ts', text: 'const a = 1;\n' }],
    ['kebab-case', { path: 'domain/FenceEvidence.ts', text: 'const a = 1;\n' }],
    ['ends with exactly one line end', { path: 'domain/endless.ts', text: 'const a = 1;' }],
    ['ends with exactly one line end', { path: 'domain/blanks.ts', text: 'const a = 1; \n' }],
  ])('and a file that breaks "%s" is named', (rule, file) => {
    const complaints = judgeAll([file]);
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toContain(rule);
  });

  it('and an innocent file is not', () => {
    expect(judgeAll([{ path: 'domain/fence-evidence.ts', text: 'const work = 1;\n' }])).toEqual([]);
  });
});
