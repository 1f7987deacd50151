import { stringify } from 'yaml';
import { checkConfig, fleetOf, problemText } from '../../workers/config';

const host = (more: object = {}) => ({
  id: 'hv-a',
  hypervisor: { driver: 'libvirt', uri: 'qemu+ssh://hv-a/system' },
  commands: { driver: 'ssh', target: 'hv-a' },
  capacity: { memoryMiB: 4096, vcpus: 8 },
  pools: ['images'],
  storageNames: ['10.0.1.11'],
  fencing: [{ name: 'bmc', devices: [{ id: 'hv-a-bmc', agent: 'fence_ipmilan' }] }],
  ...more,
});
const pool = (more: object = {}) => ({
  ...{ id: 'images', type: 'nfs', path: '/mnt/images', server: 'filer', export: '/srv/images', version: '3' },
  ...{ lockStrategy: 'nfs3-notify', access: { driver: 'ssh', target: 'root@filer' }, cutAccess: 'exportfs' },
  ...more,
});
const config = ({ hosts = [host()], pools = [pool()] } = {}): object => ({
  ...{ version: 1, pools, clusters: [{ id: 'one', hosts }] },
});

const check = (written: object) => checkConfig(stringify(written), '/tmp/vmedic.yaml');
async function sentences(written: object): Promise<string> {
  const loaded = await check(written);
  return (loaded.ok ? loaded.warnings : loaded.problems).map(problemText).join('\n');
}

it('takes a pool whose server can cut the access of a host: negative control', async () => {
  expect(await sentences(config())).toBe('');
  const loaded = await check(config());
  expect(loaded.ok && fleetOf(loaded.config).pools[0]?.cutAccess).toBe('exportfs');
});

it('leaves access alone where nobody asks for it', async () => {
  const { cutAccess: _, ...without } = pool();
  const loaded = await check(config({ pools: [without] as never }));
  expect(loaded.ok && fleetOf(loaded.config).pools[0]).not.toHaveProperty('cutAccess');
});

it.each([
  ['no shell on the server', { pools: [pool({ access: undefined })] }, 'cutAccess needs "access"'],
  ['no folder to look for', { pools: [pool({ export: undefined })] }, 'cutAccess needs "export"'],
  ['a way that there is not', { pools: [pool({ cutAccess: 'iptables' })] }, 'exportfs'],
  [
    'a pool of another type',
    { pools: [pool({ type: 'dir', lockStrategy: 'none' })] },
    'cutAccess is for pools of type nfs, and images is dir',
  ],
  [
    'a host that is known by name alone',
    { hosts: [host({ storageNames: ['hv-a.example'] })] },
    'can be kept from writing to pool images only by its address',
  ],
])('refuses cutAccess with %s, and says what it takes', async (_, written, sentence) => {
  expect(await sentences(config(written as never))).toContain(sentence);
});
