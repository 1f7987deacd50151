import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { activateScript, deactivateScript, valuesIn } from '../../../drivers/lvm/activation-script';
import { judgeVolume } from '../../../drivers/lvm/judge-volume';
import { namesIn, reportFrom, type LvmReport } from '../../../drivers/lvm/report';

/** As LVM 2.03.16 prints it: three documents after one another, all values text. */
const printed = (more: { groups?: string; volumes?: string; physical?: string } = {}): string => `
  {
      "report": [
          {
              "vg": [
                  {"vg_uuid":"VG-1", "vg_name":"vmvg", "vg_missing_pv_count":"0", "vg_lock_type":"", "vg_autoactivation":""}${more.groups ?? ''}
              ]
          }
      ]
  }
  {
      "report": [
          {
              "lv": [
                  {"vg_uuid":"VG-1", "vg_name":"vmvg", "lv_uuid":"LV-1", "lv_name":"vm1", "lv_active":"", "lv_device_open":"", "lv_attr":"-wi-------"},
                  {"vg_uuid":"VG-1", "vg_name":"vmvg", "lv_uuid":"LV-2", "lv_name":"a-b", "lv_active":"active", "lv_device_open":"open", "lv_attr":"-wi-ao----"}${more.volumes ?? ''}
              ]
          }
      ]
  }
  {
      "report": [
          {
              "pv": [
                  {"vg_uuid":"VG-1", "pv_uuid":"PV-1", "pv_missing":""}${more.physical ?? ''}
              ]
          }
      ]
  }
`;
const report = (text = printed()): LvmReport => {
  const read = reportFrom(text);
  if (read === undefined) throw new Error('it was not read');
  return read;
};
const why = (read: LvmReport, path: string, recorded?: { group: string; volume: string }): string => {
  const judged = judgeVolume(read, path, recorded);
  return judged.kind === 'found' ? 'found' : judged.why;
};

describe('what LVM prints', () => {
  it('is read with groups, volumes and what is active', () => {
    expect(report()).toMatchObject({
      groups: [{ uuid: 'VG-1', name: 'vmvg', missingPvs: 0, autoActivation: false, clustered: false }],
      volumes: [
        { uuid: 'LV-1', name: 'vm1', active: false, open: false, partial: false },
        { uuid: 'LV-2', name: 'a-b', active: true, open: true },
      ],
      physical: [{ uuid: 'PV-1', missing: false }],
    });
  });

  it('without the column for autoactivation leaves open whether everything is activated at boot', () => {
    const old = printed().replaceAll(', "vg_autoactivation":""', '');
    expect(report(old).groups[0]?.autoActivation).toBeUndefined();
  });

  it.each([...[3, 12, 20].map((lines) => ['cut after a line', lines] as const)])(
    '%s is no report (%i)',
    (_, lines) => {
      expect(reportFrom(printed().split('\n').slice(0, lines).join('\n'))).toBeUndefined();
    },
  );
});

describe('a path', () => {
  it.each([
    ['/dev/vmvg/vm1', { group: 'vmvg', volume: 'vm1' }],
    ['/dev/mapper/vmvg-vm1', { group: 'vmvg', volume: 'vm1' }],
    ['/dev/mapper/vm--vg-a--b', { group: 'vm-vg', volume: 'a-b' }],
    ['/dev/sdb', undefined],
    ['/dev/disk/by-id', undefined],
    ['/dev/dm-3', undefined],
    ['/var/lib/vm/one.raw', undefined],
  ])('%s names %j', (path, names) => {
    expect(namesIn(path)).toEqual(names);
  });
});

describe('a volume', () => {
  const mine = { group: 'VG-1', volume: 'LV-1' };

  it('is found by its name where nothing speaks against it, and by what it was', () => {
    expect(why(report(), '/dev/vmvg/vm1')).toBe('found');
    expect(why(report(), '/dev/mapper/vmvg-vm1', mine)).toBe('found');
  });

  it('is refused when it is missing, or its group is', () => {
    expect(why(report(), '/dev/vmvg/none', mine)).toContain('/dev/vmvg/none is missing');
    expect(why(report(), '/dev/other/vm1')).toContain('no volume group other is seen there');
  });

  it('is refused when two groups bear its group’s name', () => {
    const twice = report(
      printed({
        groups:
          ',{"vg_uuid":"VG-2", "vg_name":"vmvg", "vg_missing_pv_count":"0", "vg_lock_type":"", "vg_autoactivation":""}',
      }),
    );
    expect(why(twice, '/dev/vmvg/vm1', mine)).toContain(
      'ambiguous: 2 volume groups are called vmvg (VG-1, VG-2)',
    );
  });

  it('is refused when another one has taken its name, or its group’s', () => {
    expect(why(report(), '/dev/vmvg/vm1', { ...mine, volume: 'LV-0' })).toContain('another volume now: LV-1');
    expect(why(report(), '/dev/vmvg/vm1', { ...mine, group: 'VG-0' })).toContain('another one there: VG-1');
  });

  it('is refused when a part of it is missing, and the missing disk is named by its uuid', () => {
    const partial = report(
      printed({
        volumes:
          ',{"vg_uuid":"VG-1", "vg_name":"vmvg", "lv_uuid":"LV-3", "lv_name":"half", "lv_active":"", "lv_device_open":"", "lv_attr":"-wi-----p-"}',
        physical: ',{"vg_uuid":"VG-1", "pv_uuid":"PV-2", "pv_missing":"missing"}',
      }),
    );
    expect(why(partial, '/dev/vmvg/half')).toBe(
      '/dev/vmvg/half is partial: physical volumes PV-2 are missing',
    );
  });

  it('that follows a renamed group is named with both names, and not guessed', () => {
    expect(why(report(), '/dev/before/vm1', mine)).toContain('VG-1 is called vmvg there, and not before');
  });
});

it('takes the values of a script by their names', () => {
  expect(valuesIn('before=\nafter=active\nnode=yes\nnoise\n')).toEqual(
    new Map([
      ['before', ''],
      ['after', 'active'],
      ['node', 'yes'],
    ]),
  );
});

describe('a script that activates or deactivates', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lvm-script-'))));
  afterEach(() => rmSync(folder, { recursive: true }));
  const mark = (): string => join(folder, 'marks', 'LV-1');
  /** `says`: what `lvs` prints; `lvchange` writes down that it was called, and does nothing. */
  const run = (script: string, says: string) => {
    const command = (name: string, body: string): void =>
      writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    command('lvs', says);
    command('lvchange', `echo "$@" >>${folder}/changed`);
    const own = script.replace('/run/vmedic/lvm', join(folder, 'marks'));
    const env = { PATH: `${folder}:/usr/bin:/bin` };
    return spawnSync('sh', ['-c', own, 'sh', 'vmvg/vm1', 'LV-1', '-ay'], { encoding: 'utf8', env });
  };
  const changed = (): boolean => existsSync(join(folder, 'changed'));
  const unread = [
    ['fails', 'echo "Giving up waiting for lock." >&2; exit 5'],
    ['names another volume', 'echo "  LV-2:active"'],
    ['has no kernel to ask', 'echo "  LV-1:unknown"'],
  ] as const;

  it.each(unread)('leaves no mark and changes nothing while LVM %s', (_, says) => {
    const end = run(activateScript, says);
    expect(end).toMatchObject({ status: 5, stderr: expect.stringContaining('did not say') as string });
    expect([existsSync(mark()), changed()]).toEqual([false, false]);
  });

  it.each(unread)('keeps its mark, and says nothing of the volume, while LVM %s', (_, says) => {
    mkdirSync(join(folder, 'marks'));
    writeFileSync(mark(), '');
    expect(run(deactivateScript, says)).toMatchObject({ status: 5, stdout: '' });
    expect(existsSync(mark())).toBe(true);
  });

  it('goes by the line of the volume, also where LVM ends with an error for another reason', () => {
    const active = 'echo "  LV-1:active"; exit 5';
    expect(valuesIn(run(activateScript, active).stdout)).toEqual(
      new Map([
        ['before', 'active'],
        ['after', 'active'],
      ]),
    );
    const inactive = run(activateScript, 'echo "  LV-1:"');
    expect(valuesIn(inactive.stdout).get('after')).toBe('');
    expect([existsSync(mark()), changed()]).toEqual([false, true]);
  });
});

/** Kept as LVM 2.03.16 printed it: a group over two disks; one of them taken away; both exchanged; a second group of the same name beside it. */
describe('what real LVM printed', () => {
  const kept = (name: string): LvmReport =>
    report(readFileSync(join(__dirname, 'lvm-printed', `${name}.txt`), 'utf8'));
  const whole = kept('whole');
  const vm1 = whole.volumes.find((v) => v.name === 'vm1');
  const known = { group: vm1?.groupUuid ?? '', volume: vm1?.uuid ?? '' };

  it('of a whole group names the volume, and of exchanged disks the very same one', () => {
    expect(known.volume).toMatch(/^\w{6}-/);
    expect(why(whole, '/dev/vmvg/vm1', known)).toBe('found');
    expect(why(kept('disks-swapped'), '/dev/vmvg/vm1', known)).toBe('found');
  });

  it('of a group with a missing disk says which one it was, by its uuid', () => {
    const left = kept('missing-disk');
    expect(left.groups).toMatchObject([{ missingPvs: 1 }]);
    const missing = left.physical.find((p) => p.missing)?.uuid ?? '';
    expect(why(left, '/dev/vmvg/vm1', known)).toBe(
      `/dev/vmvg/vm1 is partial: physical volumes ${missing} are missing`,
    );
  });

  it('where LVM could not ask its kernel says neither active nor inactive', () => {
    expect(whole.volumes.map((v) => [v.active, v.stateUnknown])).toEqual([
      [false, true],
      [false, true],
    ]);
    expect(report().volumes.some((v) => v.stateUnknown)).toBe(false);
  });

  it('of two groups of one name is not guessed at, not even with the right one known', () => {
    expect(why(kept('two-groups-of-one-name'), '/dev/vmvg/vm1', known)).toContain('is ambiguous');
  });
});
