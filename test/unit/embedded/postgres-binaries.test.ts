import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postgresBinaries } from '../../../workers/embedded/postgres-binaries';
import { testIf } from '../../support/optional';

const before = { ...process.env };
const ordinaryUser = testIf(
  process.getuid?.() !== 0,
  'root may write everywhere: start the tests with make test',
  'beyond-ci',
);
let folder: string;
let said: string[];

/** A package as npm may leave it: no run bits, no symbolic links. */
function asUnpacked(): string {
  const root = join(folder, 'package');
  for (const part of ['bin', 'lib']) mkdirSync(join(root, 'native', part), { recursive: true });
  for (const file of ['bin/initdb', 'bin/postgres', 'lib/libpq.so.5.18'])
    writeFileSync(join(root, 'native', file), '#!/bin/sh\n', { mode: 0o644 });
  const link = { source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' };
  writeFileSync(join(root, 'native', 'pg-symlinks.json'), JSON.stringify([link]));
  writeFileSync(join(root, 'package.json'), '{"version":"18.0.0"}');
  return root;
}

function modes(root: string, mode: number): void {
  for (const part of ['native/bin', 'native/lib', 'native', '.']) chmodSync(join(root, part), mode);
}

function find(root: string) {
  return postgresBinaries((line) => said.push(line), root);
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmb-'));
  said = [];
  process.env['VMEDIC_CACHE'] = join(folder, 'cache');
});

afterEach(() => {
  process.env = { ...before };
  const root = join(folder, 'package');
  if (existsSync(root)) modes(root, 0o755);
  rmSync(folder, { recursive: true, force: true });
});

describe('the PostgreSQL that came with npm', () => {
  it('is put right where it lies, when that is allowed', async () => {
    const root = asUnpacked();
    const { postgres } = await find(root);
    expect(postgres).toBe(join(root, 'native', 'bin', 'postgres'));
    expect(statSync(postgres).mode & 0o111).not.toBe(0);
    expect(readlinkSync(join(root, 'native', 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18');
    expect(said).toEqual([]);
  });

  ordinaryUser('is copied into the cache, once, when its own folder belongs to somebody else', async () => {
    const root = asUnpacked();
    modes(root, 0o555);
    // A file of one's own can always be given its run bit; a link needs the folder.
    const first = await find(root);
    expect(first.postgres).toMatch(new RegExp(`^${join(folder, 'cache', 'postgres')}/18\\.0\\.0-`));
    expect(statSync(first.postgres).mode & 0o111).not.toBe(0);
    expect(existsSync(join(first.postgres, '..', '..', 'lib', 'libpq.so.5'))).toBe(true);
    const second = await find(root);
    expect(second).toEqual(first);
    expect(said).toEqual(['unpacking PostgreSQL into the cache']);
  });

  it('is left alone when nothing is wrong with it', async () => {
    const root = asUnpacked();
    await find(root);
    modes(root, 0o555);
    await expect(find(root)).resolves.toEqual(await find(root));
    expect(existsSync(join(folder, 'cache'))).toBe(false);
  });
});
