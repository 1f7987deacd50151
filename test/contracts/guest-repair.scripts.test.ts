/**
 * The shipped scripts as hosts run them: on real files of this machine with QEMU's own locks, and on an LVM that is a folder. What cannot be had here is
 * the appliance: guestfish is a script that reads and writes a mark in the image, as far as it is called, and fails what it is not called with.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostId, poolId, vmId } from '../../domain/ids';
import type { RunOnHost } from '../../drivers/child-processes/on-host';
import { createGuestRepair } from '../../drivers/host-commands';
import { fakeGuestfish } from '../support/fake-guestfish';
import { describeIf } from '../support/optional';
import { eventually, type Opened, runContract } from './contract';
import { guestRepairContract, type GuestRepairSubject } from './guest-repair.contract';

const here = hostId('hv-a');
const pool = poolId('images');
const id = vmId('11111111-2222-4333-8444-555555555555');

const shell =
  (env: NodeJS.ProcessEnv): RunOnHost =>
  (_host, script, args, timeout) => {
    const end = spawnSync('sh', ['-c', script, 'sh', ...args], { encoding: 'utf8', timeout, env });
    return Promise.resolve({ code: end.status ?? 255, stdout: end.stdout, stderr: end.stderr });
  };

const openFiles = async (): Promise<Opened<GuestRepairSubject>> => {
  const folder = mkdtempSync(join(tmpdir(), 'vmr-'));
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'guestfish'), fakeGuestfish, { mode: 0o755 });
  const image = join(folder, "web's disk.raw");
  writeFileSync(image, Buffer.concat([Buffer.from('damaged'), Buffer.alloc(1024 * 1024 - 7)]));
  const asRoot = shell({ ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` });
  const port = createGuestRepair({
    asRoot,
    pools: [{ id: pool, type: 'dir', path: folder, lockStrategy: 'none' }],
    hostsOf: () => [here],
  });
  const disk = { device: 'vda', path: image, format: 'raw', poolId: pool, shareable: false };
  let user: ReturnType<typeof spawn> | undefined;
  const subject: GuestRepairSubject = {
    ...{ port, a: here, patienceMs: 5_000 },
    order: (attempt) => ({ attempt, vmId: id, name: 'web', disks: [disk] }),
    world: {
      async start() {
        const drive = `if=virtio,format=raw,file=${image}`;
        const machine = [
          '-S',
          '-nodefaults',
          '-display',
          'none',
          '-machine',
          'pc',
          '-m',
          '16',
          '-drive',
          drive,
        ];
        user = spawn('qemu-system-x86_64', machine, { stdio: 'ignore' });
        // It has the image once QEMU's own lock says so.
        const isHeld = (): boolean => spawnSync('qemu-io', ['-f', 'raw', '-c', 'length', image]).status !== 0;
        await eventually(20_000, () => Promise.resolve(isHeld()));
      },
      isDamaged: () => Promise.resolve(readFileSync(image).subarray(0, 7).toString() === 'damaged'),
      powerOff: () => Promise.reject(new Error('it is this machine')),
    },
  };
  const close = async (): Promise<void> => {
    user?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    return Promise.resolve();
  };
  return Promise.resolve({ subject, close });
};

/** As far as the scripts call it: a volume is a folder with a file for each of its fields. */
const fakeLvm = `#!/bin/sh
sep=' '
while [ $# -gt 0 ]; do
  case $1 in
    -o) fields=$2; shift ;; -n) name=$2; shift ;; --separator) sep=$2; shift ;; --units | -l) shift ;;
    --addtag) add=$2; shift ;; --deltag) del=$2; shift ;; -*) ;; *) last=$1 ;;
  esac
  shift
done
[ "\${last%%/*}" = vg ] || exit 5
volume=\${last#vg}; volume=\${volume#/}
row() {
  line=
  for field in $(echo "$fields" | tr , ' '); do
    case $field in
      lv_name) value=$1 ;; vg_free) value=99999999 ;; vg_missing_pv_count) value=0 ;;
      lv_tags) value=$(sort "$STATE/$1/lv_tags" 2>/dev/null | paste -sd, -) ;; *) value=$(cat "$STATE/$1/$field" 2>/dev/null) ;;
    esac
    line="$line$sep$value"
  done
  echo "  \${line#?}"
}
[ -z "$volume" ] || [ -d "$STATE/$volume" ] || { echo "  Failed to find logical volume $last" >&2; exit 5; }
case "\${0##*/}" in
  lvs) if [ -z "$volume" ]; then for v in $(ls "$STATE"); do row "$v"; done; else row "$volume"; fi ;;
  lvcreate) mkdir "$STATE/$name" && cp "$STATE/$volume/data" "$STATE/$name/data" && echo "$volume" >"$STATE/$name/origin" && echo "$add" >"$STATE/$name/lv_tags" ;;
  lvchange)
    [ -z "$add" ] || echo "$add" >>"$STATE/$volume/lv_tags"
    [ -z "$del" ] || { grep -vx "$del" "$STATE/$volume/lv_tags" >"$STATE/$volume/t"; mv "$STATE/$volume/t" "$STATE/$volume/lv_tags"; } ;;
  lvconvert) cp "$STATE/$volume/data" "$STATE/$(cat "$STATE/$volume/origin")/data" && rm -r "$STATE/$volume" ;;
  lvremove) rm -r "$STATE/$volume" ;;
esac
`;

const openVolumes = async (): Promise<Opened<GuestRepairSubject>> => {
  const folder = mkdtempSync(join(tmpdir(), 'vmr-'));
  const [bin, state] = [join(folder, 'bin'), join(folder, 'vg')];
  for (const made of [bin, state, join(state, 'web')]) mkdirSync(made);
  const tools = ['lvs', 'lvcreate', 'lvchange', 'lvconvert', 'lvremove'].map(
    (tool) => [tool, fakeLvm] as const,
  );
  for (const [tool, text] of [...tools, ['guestfish', fakeGuestfish] as const])
    writeFileSync(join(bin, tool), text, { mode: 0o755 });
  const field = (name: string, text: string): void => writeFileSync(join(state, 'web', name), `${text}\n`);
  const data = join(state, 'web', 'data');
  for (const [name, text] of Object.entries({
    lv_uuid: 'u-1',
    lv_size: '4096',
    lv_active: 'active',
    segtype: 'linear',
  }))
    field(name, text);
  writeFileSync(data, 'damaged and more');
  const port = createGuestRepair({
    asRoot: shell({ ...process.env, STATE: state, PATH: `${bin}:${process.env['PATH'] ?? ''}` }),
    pools: [{ id: pool, type: 'lvm', path: '/dev/vg', lockStrategy: 'none' }],
    hostsOf: () => [here],
    lockFolder: folder,
  });
  const volume = { group: 'g-1', volume: 'u-1' };
  const disk = { device: 'vda', path: '/dev/vg/web', format: 'raw', poolId: pool, shareable: false, volume };
  const subject: GuestRepairSubject = {
    ...{ port, a: here, patienceMs: 5_000 },
    order: (attempt) => ({ attempt, vmId: id, name: 'web', disks: [disk] }),
    world: {
      start: () => Promise.resolve(field('lv_device_open', 'open')),
      isDamaged: () => Promise.resolve(readFileSync(data).subarray(0, 7).toString() === 'damaged'),
      powerOff: () => Promise.reject(new Error('it is this machine')),
    },
  };
  const close = (): Promise<void> => {
    rmSync(folder, { recursive: true, force: true });
    return Promise.resolve();
  };
  return Promise.resolve({ subject, close });
};

const lacking = ['qemu-io', 'qemu-img', 'qemu-system-x86_64', 'flock'].filter(
  (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0,
);

describeIf(lacking.length === 0, `not installed here: ${lacking.join(', ')}`)('on real files', () => {
  runContract('guestRepair', 'host-commands (files)', guestRepairContract, openFiles);
});
describeIf(lacking.length === 0, `not installed here: ${lacking.join(', ')}`)('on volumes', () => {
  runContract('guestRepair', 'host-commands (volumes)', guestRepairContract, openVolumes);
});
