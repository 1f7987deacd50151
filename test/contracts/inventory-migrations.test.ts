import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { migrationsFolder } from '../../drivers/postgres/migrate';

const root = resolve(__dirname, '..', '..');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmg-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The statements that drizzle-kit would add to the migrations in `out`. */
function missingFrom(out: string): string[] {
  const before = new Set(readdirSync(out));
  const kit = join(root, 'node_modules', 'drizzle-kit', 'bin.cjs');
  const schema = join('drivers', 'postgres', 'schema.ts');
  const args = [kit, 'generate', '--dialect', 'postgresql', '--schema', schema, '--out', relative(root, out)];
  execFileSync(process.execPath, args, { cwd: root, stdio: 'pipe' });
  return readdirSync(out).filter((name) => name.endsWith('.sql') && !before.has(name));
}

it('has a committed migration for everything that the schema says', () => {
  const copy = join(folder, 'migrations');
  cpSync(migrationsFolder(), copy, { recursive: true });
  expect(missingFrom(copy)).toEqual([]);
});

it('would notice a migration that was forgotten', () => {
  const none = join(folder, 'migrations');
  mkdirSync(none);
  expect(missingFrom(none)).toHaveLength(1);
});
