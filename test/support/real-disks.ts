/**
 * Disks as power cuts leave them, made and read by a real kernel: the appliance of libguestfs, run out of a tree of packages that is built once for the
 * machine. Nothing is installed, and no file system is mounted by the machine itself.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labFile } from '../../lab/lab-file';
import { runOrThrow } from '../../lab/run';
import { cacheDir } from '../../workers/embedded/cache-dir';

const applianceFolder = (): string => join(cacheDir(), 'appliance');
const SECTOR = 512;

export interface RealDisks {
  readonly folder: string;
  /** With guestfish before everything else. */
  readonly env: NodeJS.ProcessEnv;
  /** What the appliance prints, given these lines; the disks are /dev/sda and so on. */
  fish(mode: '--ro' | '--rw', disks: readonly string[], lines: readonly string[]): Promise<string>;
  /** The kernel that wrote them died in the middle: an XFS and an ext4, each with 300 files that were synced, and a dirty journal. */
  readonly dirty: { readonly xfs: string; readonly ext4: string };
  copyOf(path: string, name: string): string;
  close(): void;
}

/** Fetching and unpacking takes minutes once; a boot of the appliance ten seconds on a quiet core. */
export async function openRealDisks(): Promise<RealDisks> {
  const built = applianceFolder();
  mkdirSync(built, { recursive: true });
  if (!existsSync(join(built, 'tree')))
    await runOrThrow('flock', [join(built, 'lock'), labFile('appliance/build'), built], {
      timeoutMs: 20 * 60_000,
    });
  const folder = mkdtempSync(join(tmpdir(), 'vmd-'));
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(labFile('appliance/guestfish'), join(bin, 'guestfish'));
  const PATH = `${bin}:${process.env['PATH'] ?? ''}`;
  const env = { ...process.env, PATH, VMEDIC_APPLIANCE: built, LIBGUESTFS_BACKEND: 'direct' };
  const fish: RealDisks['fish'] = (mode, disks, lines) =>
    new Promise((resolve, reject) => {
      const args = [mode, ...disks.flatMap((d) => ['--format=raw', '-a', d])];
      const child = spawn('guestfish', args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
      let said = '';
      let errors = '';
      child.stdout.on('data', (text: Buffer) => void (said += text.toString()));
      child.stderr.on('data', (text: Buffer) => void (errors += text.toString()));
      child.on('error', reject);
      child.on('close', (code) => {
        if (code === 0) resolve(said);
        else reject(new Error(`guestfish ended with ${code}: ${errors.slice(0, 500)}`));
      });
      child.stdin.end(['run', ...lines, ''].join('\n'));
    });
  const dirty = { xfs: join(folder, 'dirty-xfs.raw'), ext4: join(folder, 'dirty-ext4.raw') };
  for (const [path, mebibytes] of [[dirty.xfs, 320] as const, [dirty.ext4, 96] as const]) {
    writeFileSync(path, '');
    truncateSync(path, mebibytes * 1024 * 1024);
  }
  // Many small transactions make a log of many records. The last line kills the kernel, so that guestfish ends with an error.
  const crash = fish(
    '--rw',
    [dirty.xfs, dirty.ext4],
    [
      'mkfs xfs /dev/sda',
      'mkfs ext4 /dev/sdb',
      'mount /dev/sda /',
      shell(
        'mkdir /tmp/e; mount /dev/sdb /tmp/e; for i in $(seq 300); do echo $i > /tmp/e/f$i; done; sync -f /tmp/e',
      ),
      shell(
        'cd /sysroot; for d in $(seq 15); do mkdir d$d; for f in $(seq 20); do echo $f > d$d/f$f; done; sync -f .; done',
      ),
      shell('echo late > /tmp/e/late; sync -f /tmp/e; echo b > /proc/sysrq-trigger'),
    ],
  );
  if (
    await crash.then(
      () => true,
      () => false,
    )
  )
    throw new Error('the kernel was to die, and did not');
  return {
    ...{ folder, env, fish, dirty },
    copyOf(path, name) {
      const copy = join(folder, name);
      copyFileSync(path, copy);
      return copy;
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Run by the appliance's own shell, below whose /sysroot the guest's files are. */
export const shell = (line: string): string => `debug sh "${line}"`;

/** `dirty` as xfs_logprint says it, with the log's place and its tail, in sectors. */
export async function logOf(disks: RealDisks, path: string) {
  const said = await disks.fish('--ro', [path], [shell('xfs_logprint -t /dev/sda 2>&1 | head -n 8')]);
  const [, start = ''] = /daddr: (\d+)/.exec(said) ?? [];
  const [, tail = '', head = '', state = ''] = /log tail: (\d+) head: (\d+) state: <(\w+)>/.exec(said) ?? [];
  return { start: Number(start), tail: Number(tail), head: Number(head), isDirty: state === 'DIRTY' };
}

export function overwrite(path: string, atSector: number, sectors: number, byte: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(sectors * SECTOR, byte), 0, sectors * SECTOR, atSector * SECTOR);
  closeSync(file);
}

/** By the words of debugfs, which needs no kernel. */
export function changeExt4(path: string, words: string): void {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  const end = spawnSync('debugfs', ['-w', '-R', words, path], { env, encoding: 'utf8' });
  if (end.status !== 0) throw new Error(`debugfs: ${end.stderr}`);
}

export const sumOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
