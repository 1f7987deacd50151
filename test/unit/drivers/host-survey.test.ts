import { execFileSync } from 'node:child_process';
import { poolId } from '../../../domain/ids';
import type { Pool } from '../../../domain/fleet';
import { verdictOf } from '../../../drivers/host-survey/lock-test';
import { surveyFrom, surveyScript } from '../../../drivers/host-survey/survey-script';

const nfs: Pool = { id: poolId('vm'), type: 'nfs', path: '/pool/vm', lockStrategy: 'nfs3-notify' };
const dir: Pool = { id: poolId('files'), type: 'dir', path: '/srv/files', lockStrategy: 'none' };
const lines = (...more: string[]): string =>
  [
    'command\tvirsh\t9.0.0',
    'command\tqemu\tQEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)',
    'command\tqemu-img\t',
    'mounted\t/dev/sda1 / ext4 rw,relatime 0 0',
    ...more,
    'end',
  ].join('\n');
const survey = (pools: Pool[], ...more: string[]) => surveyFrom(lines(...more), pools, undefined);

describe('a look into a host', () => {
  it('tells versions, and a command that is not there', () => {
    expect(survey([])?.commands).toEqual([
      { name: 'virsh', version: '9.0.0' },
      { name: 'qemu', version: '7.2.22' },
      { name: 'qemu-img', version: undefined },
    ]);
  });

  it('tells how a pool is mounted by the kernel’s own table, and what fstab says of it', () => {
    const mounts = survey(
      [nfs],
      'mounted\tnfs:/srv/vm /pool/vm nfs rw,vers=3,hard,local_lock=none,addr=10.0.0.1 0 0',
      'fstab\tnfs:/srv/vm /pool/vm nfs vers=3,_netdev 0 0',
    )?.mounts;
    expect(mounts).toMatchObject([
      {
        ...{ poolId: 'vm', kind: 'mount', source: 'nfs:/srv/vm', fileSystem: 'nfs' },
        options: ['rw', 'vers=3', 'hard', 'local_lock=none', 'addr=10.0.0.1'],
        fstabOptions: ['vers=3', '_netdev'],
      },
    ]);
  });

  it('of two mounts on one point believes the later, which covers the earlier', () => {
    const [mount] =
      survey([nfs], 'mounted\tnfs:/srv/vm /pool/vm nfs rw,vers=3 0 0', 'mounted\ttmpfs /pool/vm tmpfs rw 0 0')
        ?.mounts ?? [];
    expect(mount?.fileSystem).toBe('tmpfs');
  });

  it('tells a pool in a folder of the host’s own disk from one that is not there', () => {
    expect(survey([dir], 'folder\t/srv/files')?.mounts).toMatchObject([
      { kind: 'folder', fileSystem: 'ext4' },
    ]);
    expect(survey([dir])?.mounts).toMatchObject([{ kind: 'none' }]);
  });

  it('knows a pool in a folder of an NFS mount', () => {
    const [mount] =
      survey([nfs], 'mounted\tnfs:/srv /pool nfs4 rw,vers=4.2 0 0', 'folder\t/pool/vm')?.mounts ?? [];
    expect(mount).toMatchObject({ kind: 'mount', fileSystem: 'nfs4' });
  });

  it('reads blanks in a path', () => {
    const blank: Pool = { ...nfs, path: '/pool/v m' };
    expect(survey([blank], 'mounted\tnfs:/srv/vm /pool/v\\040m nfs rw,vers=3 0 0')?.mounts).toMatchObject([
      { kind: 'mount' },
    ]);
  });

  it('that was cut short is none', () => {
    expect(surveyFrom('command\tvirsh\t9.0.0\n', [], undefined)).toBeUndefined();
  });

  it('runs in a plain shell, comes to its end and finds no rival in itself', () => {
    const looked = (more: string) => {
      const args = ['-c', surveyScript, 'sh', more, '/tmp', '/no/such'];
      return surveyFrom(
        execFileSync('sh', args, { encoding: 'utf8' }),
        [{ ...dir, path: '/tmp' }],
        undefined,
      );
    };
    const seen = looked('');
    expect(seen).toMatchObject({ rivals: [] });
    expect(seen?.commands.map((c) => c.name)).toEqual([
      'virsh',
      'qemu',
      'qemu-img',
      'qemu-io',
      'findmnt',
      'flock',
    ]);
    expect(looked('no-such-program')?.commands).toContainEqual({
      name: 'no-such-program',
      version: undefined,
    });
    expect(seen?.mounts[0]?.kind).not.toBe('none');
  });
});

describe('the lock test', () => {
  it.each([
    ['held', 'refused', 'guards'],
    ['held', 'free', 'does-not-guard'],
    ['free', 'refused', 'does-not-guard'],
    ['held', 'absent', 'not-known'],
    ['held', 'trouble qemu-img: Permission denied', 'not-known'],
    ['', 'refused', 'not-known'],
    ['held', '', 'not-known'],
  ])('held: %j, asked: %j is %s', (held, asked, says) => {
    expect(verdictOf(held, asked, '/pool/vm/x').says).toBe(says);
  });
});
