/** What the driver does with what LVM says; a host that answers by rote stands for a real one. */
import { createLvmStorage } from '../../../drivers/lvm';
import { activateScript, backingScript, deactivateScript } from '../../../drivers/lvm/activation-script';
import { reportScript } from '../../../drivers/lvm/report';
import type { RunOnHost } from '../../../drivers/child-processes';
import { DriverFault } from '../../../domain/faults';
import { hostId, poolId, vmId } from '../../../domain/ids';
import type { VmDisk } from '../../../domain/records';
import { permitFor } from '../../contracts/permits';

const [target, other] = [hostId('hv-a'), hostId('hv-b')] as const;
const pool = poolId('volumes');
const vm = vmId('00000000-0000-4000-8000-00000000b001');
const disk = (name: string, format = 'raw'): VmDisk => ({
  ...{ device: 'vda', path: `/dev/vmvg/${name}`, format, poolId: pool, shareable: false },
});
const never = new AbortController().signal;

interface Volume {
  active?: boolean;
  attr?: string;
  /** What `lvchange` makes of it. */
  obeys?: boolean;
  mark?: boolean;
  /** LVM does not say how it is once it was to be changed. */
  unread?: boolean;
  behind?: string;
  raw?: boolean;
}
type Volumes = Record<string, Volume>;

function hosts(by: Record<string, Volumes>, lock = '') {
  const calls: string[] = [];
  const printed = (volumes: Volumes): string =>
    JSON.stringify({
      report: [{ vg: [{ vg_uuid: 'VG', vg_name: 'vmvg', vg_missing_pv_count: '0', vg_lock_type: lock }] }],
    }) +
    JSON.stringify({
      report: [
        {
          lv: Object.entries(volumes).map(([name, v]) => ({
            ...{ vg_uuid: 'VG', vg_name: 'vmvg', lv_uuid: `LV-${name}`, lv_name: name, lv_device_open: '' },
            ...{ lv_active: v.active === true ? 'active' : '', lv_attr: v.attr ?? '-wi-------' },
          })),
        },
      ],
    }) +
    JSON.stringify({ report: [{ pv: [] }] });
  const runScript: RunOnHost = (host, _asRoot, [script, name = '', , mode]) => {
    const volumes = by[host];
    if (volumes === undefined)
      return Promise.reject(new DriverFault('HOST_COMMAND_FAILED', { host, detail: 'silent' }));
    const volume = volumes[name.split('/').at(-1) ?? ''];
    const end = (stdout: string) => Promise.resolve({ code: 0, stdout, stderr: '' });
    if (script === reportScript) return end(printed(volumes));
    if (script === backingScript) {
      if (volume?.raw === true)
        return Promise.resolve({ code: 4, stdout: '', stderr: 'not in qcow2 format' });
      const behind = volumes[volume?.behind?.split('/').at(-1) ?? ''];
      const format = behind?.raw === true ? 'raw' : 'qcow2';
      return end(volume?.behind === undefined ? '' : `behind=${volume.behind}\nformat=${format}\n`);
    }
    if (volume === undefined) throw new Error(`no volume ${name}`);
    calls.push(`${host} ${script === activateScript ? String(mode) : 'off'} ${name}`);
    if (script === activateScript && volume.active !== true && volume.obeys !== false)
      Object.assign(volume, { active: true, mark: true });
    if (script === deactivateScript && volume.mark === true && volume.obeys !== false)
      Object.assign(volume, { active: false, mark: false });
    if (volume.unread === true)
      return Promise.resolve({ code: 5, stdout: '', stderr: 'LVM did not say whether it is active' });
    const state = volume.active === true ? 'active' : '';
    return end(
      `after=${script === deactivateScript && volume.mark !== true && volume.active === true ? '' : state}\nnode=yes\n${volume.mark === true ? 'mine=yes' : ''}`,
    );
  };
  const { volumes } = createLvmStorage({ runScript, pools: new Map([[pool, [target, other]]]) });
  const makeReady = (...disks: VmDisk[]) => volumes.makeReady(permitFor(vm, target), disks, never);
  const standDown = (...paths: string[]) => volumes.standDown(target, paths, never);
  return { calls, makeReady, standDown };
}

it('activates the volumes of the VM and no other, and is told which of them it was', async () => {
  const { makeReady, calls } = hosts({ 'hv-a': { one: {}, two: { active: true }, three: {} }, 'hv-b': {} });
  expect(await makeReady(disk('one'), disk('two'))).toEqual({ ready: true, activated: ['/dev/vmvg/one'] });
  expect(calls).toEqual(['hv-a -ay vmvg/one', 'hv-a -ay vmvg/two']);
});

it('activates nothing while one of the disks cannot be found', async () => {
  const { makeReady, calls } = hosts({ 'hv-a': { one: {} }, 'hv-b': {} });
  expect(await makeReady(disk('one'), disk('two'))).toMatchObject({ ready: false });
  expect(calls).toEqual([]);
});

it('activates exclusively where a lock manager guards the group', async () => {
  const { makeReady, calls } = hosts({ 'hv-a': { one: {} }, 'hv-b': {} }, 'sanlock');
  await makeReady(disk('one'));
  expect(calls).toEqual(['hv-a -aey vmvg/one']);
});

it('is not ready when LVM says that the volume stayed inactive, whatever lvchange returned', async () => {
  const { makeReady } = hosts({ 'hv-a': { one: { obeys: false } }, 'hv-b': {} });
  expect(await makeReady(disk('one'))).toMatchObject({ ready: false, fault: { class: 'transient' } });
});

it.each<[string, Volume]>([
  ['active', { active: true }],
  ['in a state that LVM could not read', { attr: '-wi-XX----' }],
])('refuses a volume that is %s on another host', async (_, there) => {
  const { makeReady, calls } = hosts({ 'hv-a': { one: {} }, 'hv-b': { one: there } });
  expect(await makeReady(disk('one'))).toMatchObject({ ready: false });
  expect(calls).toEqual([]);
});

it('is not kept from it by another host that is silent and cannot hold the VM', async () => {
  const { makeReady } = hosts({ 'hv-a': { one: {} } });
  expect(await makeReady(disk('one'))).toMatchObject({ ready: true });
});

it('throws, and says neither ready nor not, when the target itself is silent', async () => {
  const { makeReady } = hosts({ 'hv-b': {} });
  await expect(makeReady(disk('one'))).rejects.toMatchObject({ fault: { code: 'HOST_COMMAND_FAILED' } });
});

it('activates a raw image behind a qcow2, and looks for nothing behind that', async () => {
  const { makeReady, calls } = hosts({
    'hv-a': { top: { behind: '/dev/vmvg/base' }, base: { raw: true } },
    'hv-b': {},
  });
  expect(await makeReady(disk('top', 'qcow2'))).toMatchObject({ ready: true });
  expect(calls).toEqual(['hv-a -ay vmvg/top', 'hv-a -ay vmvg/base']);
});

it('activates what lies behind a qcow2, to the last image of the chain, and leaves that to others', async () => {
  const chain: Volumes = {
    top: { behind: '/dev/vmvg/middle' },
    middle: { behind: '/dev/vmvg/base' },
    base: {},
  };
  const { makeReady, standDown } = hosts({ 'hv-a': chain, 'hv-b': { base: { active: true } } });
  expect(await makeReady(disk('top', 'qcow2'))).toEqual({ ready: true, activated: ['/dev/vmvg/top'] });
  expect(Object.values(chain).map((v) => v.active)).toEqual([true, true, true]);
  await standDown('/dev/vmvg/top');
  expect(Object.values(chain).map((v) => v.active)).toEqual([false, true, true]);
});

it('stops at a chain that goes in a circle', async () => {
  const { makeReady } = hosts({ 'hv-a': { top: { behind: '/dev/vmvg/top' } }, 'hv-b': {} });
  expect(await makeReady(disk('top', 'qcow2'))).toMatchObject({ ready: false });
});

describe('the way back', () => {
  it('says so when a volume stays active, because somebody has it open', async () => {
    const { standDown } = hosts({ 'hv-a': { one: { active: true, mark: true, obeys: false } } });
    await expect(standDown('/dev/vmvg/one')).rejects.toMatchObject({
      fault: { code: 'HOST_COMMAND_FAILED' },
    });
  });

  it('says so when LVM does not say what became of it', async () => {
    const { standDown } = hosts({ 'hv-a': { one: { active: true, mark: true, unread: true } } });
    await expect(standDown('/dev/vmvg/one')).rejects.toThrow('LVM did not say');
  });

  it('leaves what others activated, and paths that are no volumes', async () => {
    const one: Volume = { active: true };
    const { standDown } = hosts({ 'hv-a': { one } });
    await standDown('/dev/vmvg/one', '/dev/vmvg/none', '/srv/images/x.raw');
    expect(one.active).toBe(true);
  });

  it('also takes back a volume that has lost a disk meanwhile', async () => {
    const one: Volume = { active: true, mark: true, attr: '-wi-a---p-' };
    const { standDown } = hosts({ 'hv-a': { one } });
    await standDown('/dev/vmvg/one');
    expect(one.active).toBe(false);
  });

  it('never takes an unknown state for inactive', async () => {
    const { standDown } = hosts({ 'hv-a': { one: { attr: '-wi-XX----' } } });
    await expect(standDown('/dev/vmvg/one')).rejects.toMatchObject({
      fault: { code: 'HOST_COMMAND_FAILED' },
    });
  });
});
