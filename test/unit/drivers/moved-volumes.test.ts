/** The scripts by which a move makes and removes logical volumes, run by a real shell against an LVM that is a folder of small files. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostId } from '../../../domain/ids';
import { createMovedVolumes } from '../../../drivers/lvm';

const host = hostId('hv-l');
const names = { group: 'vg', volume: 'vm-web-vda-m1' };
const notAborted = (): AbortSignal => new AbortController().signal;

/** As far as the scripts call it. A volume is a folder; `forbid` makes activation do nothing and say 0, as volume_list does. */
const fakeLvm = `#!/bin/sh
case "\${0##*/}" in sudo) shift; exec "$@" ;; esac
echo "\${0##*/} $*" >>"$STATE/journal"
sep=' '
while [ $# -gt 0 ]; do
  case $1 in
    -o) fields=$2; shift ;; -S) where=$2; shift ;; -L) size=\${2%b}; shift ;; -n) name=$2; shift ;;
    --addtag) tag=$2; shift ;; --separator) sep=$2; shift ;; --units) shift ;;
    -an | -ay | -aey) act=$1 ;; -*) ;; *) last=$1 ;;
  esac
  shift
done
volume=\${last#*/}
[ "\${last%%/*}" = vg ] || { echo "  Volume group \\"\${last%%/*}\\" not found" >&2; exit 5; }
row() {
  line=
  for field in $(echo "$fields" | tr , ' '); do
    case $field in lv_name) value=$1 ;; *) value=$(cat "$STATE/lv/$1/$field" 2>/dev/null) ;; esac
    line="$line$sep$value"
  done
  echo "  \${line#?}"
}
there() { [ -d "$STATE/lv/$volume" ] || { echo "  Failed to find logical volume \\"$last\\"" >&2; exit 5; }; }
case "\${0##*/}" in
  vgs) cat "$STATE/vg" ;;
  lvs)
    if [ -n "$where" ]; then [ "$where" = "origin='vm-web-vda-m1'" ] && cat "$STATE/snapshots" 2>/dev/null; exit 0; fi
    if [ "$last" = vg ]; then for v in $(ls "$STATE/lv"); do row "$v"; done; else there; row "$volume"; fi
    [ ! -e "$STATE/cut" ] || exit 5 ;;
  lvcreate)
    mkdir "$STATE/lv/$name" && echo "$size" >"$STATE/lv/$name/lv_size" && echo "$tag" >"$STATE/lv/$name/lv_tags"
    echo made-now >"$STATE/lv/$name/lv_uuid"; echo '-wi-------' >"$STATE/lv/$name/lv_attr" ;;
  lvchange)
    there
    if [ "$act" = -an ]; then
      [ ! -e "$STATE/lv/$volume/lv_device_open" ] || { echo "  Logical volume $last in use." >&2; exit 5; }
      rm -f "$STATE/lv/$volume/lv_active"
    elif [ ! -e "$STATE/forbid" ]; then echo active >"$STATE/lv/$volume/lv_active"; fi ;;
  lvremove) there; rm -r "$STATE/lv/$volume" ;;
esac
`;

let state: string;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'vmedic-lvm-'));
  mkdirSync(join(state, 'lv'));
  mkdirSync(join(state, 'bin'));
  writeFileSync(join(state, 'vg'), '  4194304|83886080|0|\n');
  writeFileSync(join(state, 'bin/lvm'), fakeLvm);
  chmodSync(join(state, 'bin/lvm'), 0o755);
  for (const name of ['vgs', 'lvs', 'lvcreate', 'lvchange', 'lvremove', 'sudo'])
    symlinkSync('lvm', join(state, 'bin', name));
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

const volumes = createMovedVolumes((_host, script, args) => {
  const env = { ...process.env, PATH: `${join(state, 'bin')}:${process.env['PATH'] ?? ''}`, STATE: state };
  const ran = spawnSync('sh', ['-c', script, 'sh', ...args], { env, encoding: 'utf8' });
  return Promise.resolve({ code: ran.status ?? 1, stdout: ran.stdout, stderr: ran.stderr });
});

function put(fields: Readonly<Record<string, string>>, name = names.volume): void {
  const folder = join(state, 'lv', name);
  mkdirSync(folder);
  const all = {
    lv_uuid: 'first',
    lv_size: '4194304',
    lv_attr: '-wi-------',
    lv_tags: 'vmedic.m1',
    ...fields,
  };
  for (const [field, value] of Object.entries(all)) writeFileSync(join(folder, field), `${value}\n`);
}
const isThere = (): boolean => existsSync(join(state, 'lv', names.volume));
const journal = (): string => readFileSync(join(state, 'journal'), 'utf8');

describe('a volume of a move', () => {
  it('is made under its tag by the very command that makes it, of exactly its size', async () => {
    writeFileSync(join(state, 'forbid'), '');
    const why = await volumes.make(host, names, 4_194_304, 'vmedic.m1', notAborted());
    // It was made and not activated, or this machine lets nobody mark it: either way it is not used.
    expect(why).toContain('cannot be used');
    expect(journal()).toMatch(/lvcreate .*-L 4194304b -n vm-web-vda-m1 --addtag vmedic\.m1 vg/);
    await volumes.make(host, names, 4_194_304, 'vmedic.m1', notAborted());
    expect(journal().match(/^lvcreate /gm)).toHaveLength(1);
  });

  it.each([
    ['bears another tag', { lv_tags: 'vmedic.m2' }, 'this order has not made it'],
    ['bears none', { lv_tags: '' }, 'this order has not made it'],
    ['has another size', { lv_size: '8388608' }, 'it has 8388608 bytes'],
  ])('is not taken for ours when one of its name %s', async (_, fields, why) => {
    put(fields);
    expect(await volumes.make(host, names, 4_194_304, 'vmedic.m1', notAborted())).toContain(why);
    expect(journal()).not.toContain('lvchange');
    expect(isThere()).toBe(true);
  });

  it('is removed when it is the one that was seen, bears our tag and nobody has it open', async () => {
    put({ lv_active: 'active', lv_tags: 'kept,vmedic.m1' });
    const seen = await volumes.find(host, names, notAborted());
    expect(seen).toMatchObject({ uuid: 'first', active: true, open: false, tags: ['kept', 'vmedic.m1'] });
    expect(await volumes.drop(host, names, seen!, 'vmedic.m1', notAborted())).toBeUndefined();
    expect(isThere()).toBe(false);
  });

  it.each([
    ['was replaced by another', { lv_uuid: 'second' }, 'another volume now'],
    ['bears only a tag that ours is a part of', { lv_tags: 'vmedic.m12' }, 'does not carry our tag'],
    ['has a snapshot, which would go with it', {}, 'its snapshots would go with it: before-the-upgrade'],
    ['is open', { lv_active: 'active', lv_device_open: 'open' }, 'in use'],
  ])('stays when it %s', async (_, fields, why) => {
    put(fields);
    if (why.includes('snapshots')) writeFileSync(join(state, 'snapshots'), '  before-the-upgrade\n');
    const seen = {
      ...names,
      name: names.volume,
      uuid: 'first',
      bytes: 1,
      active: false,
      open: false,
      tags: [],
      hasSnapshots: false,
    };
    expect(await volumes.drop(host, names, seen, 'vmedic.m1', notAborted())).toContain(why);
    expect(isThere()).toBe(true);
  });
});

describe('what is known of a group', () => {
  const read = () => volumes.group(host, 'vg', notAborted());

  it('is its extents, its room, its guard and every volume', async () => {
    put({});
    put({ lv_tags: '', lv_active: 'active', lv_device_open: 'open', origin: names.volume }, 'other');
    writeFileSync(join(state, 'vg'), '  4194304|0|1|sanlock\n');
    expect(await read()).toEqual({
      ...{ extentBytes: 4_194_304, freeBytes: 0, missingDisks: 1, guarded: true },
      volumes: [
        {
          ...{ name: 'other', uuid: 'first', bytes: 4_194_304, active: true, open: true },
          tags: [],
          hasSnapshots: false,
        },
        {
          ...{ name: names.volume, uuid: 'first', bytes: 4_194_304, active: false, open: false },
          ...{ tags: ['vmedic.m1'], hasSnapshots: true },
        },
      ],
    });
  });

  it.each([
    ['LVM stops in the middle', () => writeFileSync(join(state, 'cut'), '')],
    ['LVM cannot ask its kernel', () => put({ lv_attr: '-wi-X-----' })],
  ])('is nothing when %s: no volume counts as absent', async (_, breakIt) => {
    breakIt();
    await expect(read()).rejects.toMatchObject({ fault: { code: 'HOST_COMMAND_FAILED' } });
  });

  it('is nothing when there is no such group', async () => {
    await expect(volumes.find(host, { ...names, group: 'none' }, notAborted())).rejects.toThrow('not found');
  });
});
