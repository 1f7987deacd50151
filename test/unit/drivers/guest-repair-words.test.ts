/** No path of the code throws a journal away, and no guest's file system is mounted by a host's own kernel. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as scripts from '../../../drivers/host-commands/guest-repair-scripts';
import { mendedFrom } from '../../../drivers/host-commands/guest-repair';

const root = join(__dirname, '..', '..', '..');
const folders = ['domain', 'activities', 'workflows', 'drivers', 'workers', 'client'];

/** What people are told not to do is told in a sentence that begins with "never". */
const found = (text: string): string[] =>
  text
    .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
    .split('\n')
    .filter((line) =>
      /forcelogzero|xfs[_-]repair\b[^\n]*\s-\w*L/.test(line.replace(/never xfs_repair -L/g, '')),
    );

it('nothing in the code passes -L, under whatever name', () => {
  const lines = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => found(readFileSync(join(root, folder, file), 'utf8'))),
  );
  expect(lines).toEqual([]);
});

it.each([
  "run('xfs_repair -L /dev/vg/lv')",
  'fish xfs-repair /dev/sda1 forcelogzero:true',
  'xfs_repair -vL "$1"',
])('and %s would be found', (line) => {
  expect(found(line)).toHaveLength(1);
  expect(found(`/* ${line} */`)).toEqual([]);
});

it('a host mounts nothing of a guest by itself: that is done within the appliance', () => {
  for (const script of Object.values(scripts))
    for (const line of script.split('\n').filter((l) => /\bmount\b/.test(l)))
      expect(line).toMatch(/fish "\$@" -- run : /);
});

describe('what was found', () => {
  it('counts only when it was printed to its end', () => {
    expect(mendedFrom('/dev/sda1 xfs whole\n')).toBeUndefined();
    expect(mendedFrom('')).toBeUndefined();
    expect(mendedFrom('end\n')).toEqual([]);
  });

  it('is one line for each file system, with the words of a damaged one', () => {
    expect(
      mendedFrom(
        '/dev/sda1 xfs damaged Structure needs cleaning\n/dev/vg/root ext4 whole\n/dev/sda2 swap left\nend\n',
      ),
    ).toEqual([
      { device: '/dev/sda1', type: 'xfs', found: 'damaged', said: 'Structure needs cleaning' },
      { device: '/dev/vg/root', type: 'ext4', found: 'whole', said: '' },
      { device: '/dev/sda2', type: 'swap', found: 'left', said: '' },
    ]);
  });
});
