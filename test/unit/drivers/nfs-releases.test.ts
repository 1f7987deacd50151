/** What the ways of freeing locks make of what servers and hosts say; both answer by rote. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { offSince, readAnew } from '../../../domain/evidence';
import { DriverFault } from '../../../domain/faults';
import type { LockStrategy } from '../../../domain/fleet';
import { hostId, poolId } from '../../../domain/ids';
import { createNfsStorage, type NfsPool } from '../../../drivers/nfs';
import { clientsScript, expireScript } from '../../../drivers/nfs/clients';
import { targetScript } from '../../../drivers/nfs/on-target';
import { evidenceAbout } from '../../contracts/permits';

const [a, b, c] = ['hv-a', 'hv-b', 'hv-c'].map(hostId) as [ReturnType<typeof hostId>, never, never];
const pool = poolId('vms');
const never = new AbortController().signal;
const image = '/vms/a.qcow2';
const end = (stdout: string) => ({ code: 0, stdout, stderr: '' });

function storage(
  lockStrategy: LockStrategy,
  more: { server?: () => string; hosts?: Record<string, string>; leaseMs?: number },
) {
  const { server, hosts = {}, leaseMs } = more;
  const declared: NfsPool = {
    ...{ id: pool, lockStrategy, path: '/vms', server: 'nfs', exportPath: '/srv/vms', leaseMs },
    shell: server === undefined ? undefined : () => Promise.resolve(end(server())),
    statd: { address: '127.0.0.1' },
  };
  return createNfsStorage({
    hosts: [a, b, c].map((id, n) => ({ id, pools: [pool], names: [`10.0.0.${n + 1}`] })),
    pools: [declared],
    runOnHost: (host) => {
      const said = hosts[host];
      if (said !== undefined) return Promise.resolve(end(said));
      return Promise.reject(new DriverFault('HOST_COMMAND_FAILED', { host, detail: 'silent' }));
    },
  }).storageLocks;
}

describe('an image on an NFSv4 server', () => {
  const file = 'file 65040 32';
  const lock = 'lock 1: POSIX  ADVISORY  WRITE 4711 fe:10:32 0 EOF';
  const client = (status: string) => [
    'client 7',
    'info address: "10.0.0.1:793"',
    `info status: ${status}`,
    'state - 0x02: { type: lock, superblock: "fe:10:32", filename: "a" }',
  ];
  const listed = (...lines: string[]) =>
    storage('nfs4-expire', { server: () => [file, 'lease 90', ...lines, 'complete'].join('\n') }).list(
      pool,
      [image],
      a,
      never,
    );

  it('that is locked, and not by an NFSv4 client, is held by somebody else, who is named', async () => {
    const foreign = 'process 4711 on the server itself, or a client that mounts it by NFSv3';
    expect((await listed(lock)).locks).toMatchObject([{ path: image, owner: { foreign } }]);
  });

  it.each<[string, string[], unknown[]]>([
    ['held by the client that says so', [...client('confirmed'), lock], [{ owner: a }]],
    ['free when only a client whose lease is over holds it', [...client('courtesy'), lock], []],
    ['free when nothing of it is locked any more', client('confirmed'), []],
  ])('is %s', async (_, lines, locks) => {
    expect((await listed(...lines)).locks).toMatchObject(locks);
  });

  it('is not read by anybody who may not read what its clients hold', () => {
    const folder = mkdtempSync(join(tmpdir(), 'nfs-clients-'));
    const run = () =>
      spawnSync('sh', ['-c', clientsScript.replaceAll('/proc/fs/nfsd', folder), 'sh'], { encoding: 'utf8' });
    try {
      spawnSync('mkdir', ['-p', `${folder}/clients/7/states`]);
      writeFileSync(`${folder}/nfsv4leasetime`, '90\n');
      writeFileSync(`${folder}/clients/7/info`, 'address: "10.0.0.1:793"\n');
      // A folder in its place fails every read, root's as well.
      expect(run()).toMatchObject({ status: 4, stdout: expect.not.stringContaining('complete') as string });
      spawnSync('rmdir', [`${folder}/clients/7/states`]);
      writeFileSync(`${folder}/clients/7/states`, '- 0x02: { type: lock }\n');
      expect(run()).toMatchObject({ status: 0, stdout: expect.stringMatching(/complete\n$/) as string });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

it.each([
  ['10.0.0.1', '10.0.0.1:793', 'expire'],
  ['fd00::12', '[fd00::12]:793', 'expire'],
  ['fd00::1', '[fd00::12]:793', ''],
  ['10.0.0.1', '10.0.0.12:793', ''],
])('has the server forget the client at %s when the kernel calls it "%s": "%s"', (address, printed, done) => {
  const folder = mkdtempSync(join(tmpdir(), 'nfs-expire-'));
  try {
    spawnSync('mkdir', ['-p', `${folder}/clients/7`]);
    writeFileSync(`${folder}/clients/7/info`, `clientid: 0x1\naddress: "${printed}"\n`);
    writeFileSync(`${folder}/clients/7/ctl`, '');
    const script = expireScript.replaceAll('/proc/fs/nfsd', folder);
    expect(spawnSync('sh', ['-c', script, 'sh', address, '7']).status).toBe(0);
    expect(spawnSync('cat', [`${folder}/clients/7/ctl`], { encoding: 'utf8' }).stdout.trim()).toBe(done);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('waits a lease out from the first proof, however often that is read anew', async () => {
  const at = (secondsAgo: number) => ({
    ...evidenceAbout(a),
    method: 'observed-off' as const,
    observedAt: new Date(Date.now() - secondsAgo * 1_000).toISOString(),
  });
  const again = readAnew(readAnew(at(130) as never, at(70) as never), at(5) as never);
  expect(offSince(again)).toBe(offSince(at(130) as never));
  const { release } = storage('nfs4-lease', { leaseMs: 90_000 });
  await expect(release(pool, [], again, never)).resolves.toBeUndefined();
});

it('names a host that could not be asked among those that may hold what a release has left', async () => {
  const table = [
    'file 65040 32',
    'lock 1: POSIX  ADVISORY  READ 512 fe:10:32 100 101',
    'monitored hv-a 0100007f 000186b5 00000003 00000010 d8af 10.0.0.1 nfs',
    'complete',
  ].join('\n');
  const holdsNothing = 'file 65040 32\ncomplete';
  // The one it is ascribed to answers, and does not hold it.
  const owners = async (hosts: Record<string, string>) =>
    (await storage('nfs3-notify', { server: () => table, hosts }).list(pool, [image], a, never)).locks.map(
      (l) => JSON.stringify(l.owner),
    );
  const all = { 'hv-a': holdsNothing, 'hv-b': holdsNothing, 'hv-c': holdsNothing };
  expect(await owners(all)).toEqual([expect.not.stringContaining('could not be asked')]);
  const { 'hv-c': _, ...without } = all;
  expect(await owners(without)).toEqual([expect.stringContaining('hv-c, which could not be asked')]);
});

describe('the look at an image from where its VM is to start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'on-target-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'a.qcow2');
  const asked = (between: string, as = path) => {
    // What happens on the host right before the lock is asked for; and a mount that is none of NFS's.
    const script = targetScript
      .replace(/mount=\$\(timeout[^\n]*/, "mount='nfs4 rw'")
      .replace('  said=$(timeout -s KILL 8', `  ${between}\n  said=$(timeout -s KILL 8`);
    return spawnSync('sh', ['-c', script, 'sh', as], { encoding: 'utf8' }).stdout;
  };

  it('finds it free, or held by another', () => {
    writeFileSync(path, 'image');
    expect(asked(':')).toMatch(/^0 free\n/);
    expect(asked(`exec 7<${path}; flock -s 7`)).toMatch(/^0 held\n/);
    expect(asked(`exec 7<${path}; flock -s 7`, `shared:${path}`)).toMatch(/^0 free\n/);
    rmSync(path);
    expect(asked(':', `shared:${path}`)).toMatch(/^0 missing\n/);
  });

  it('never makes one that was removed meanwhile anew', () => {
    writeFileSync(path, 'image');
    expect(asked(`rm ${path}`)).toMatch(/^0 unreadable /);
    expect(existsSync(path)).toBe(false);
  });
});
