import { stringify } from 'yaml';
import { checkConfig, fleetOf } from '../../workers/config';
import { poolConfig, poolHost as host, saidOfConfig as said } from '../support/pool-config';

const config = (pool: object = {}, hosts?: ReturnType<typeof host>[]) =>
  poolConfig({ heartbeat: true, ...pool }, hosts);

it('a pool that its hosts mount may hold their heartbeats, and holds none unless it is said', async () => {
  expect(await said(config())).toEqual([]);
  for (const heartbeat of [true, false]) {
    const loaded = await checkConfig(stringify(config({ heartbeat })), 'vmedic.yaml');
    if (!loaded.ok) throw new Error(loaded.problems.map((p) => p.sentence).join('; '));
    expect(fleetOf(loaded.config).pools[0]?.heartbeat ?? false).toBe(heartbeat);
  }
});

it.each([
  ['a volume group', { type: 'lvm', path: '/dev/images' }],
  ['one whose folder is not named', { path: undefined }],
])('%s cannot', async (_, pool) => {
  expect(await said(config(pool))).toEqual([
    expect.stringMatching(/cannot hold heartbeats.*leave heartbeat out/),
  ]);
});

it('one that a single host has is of no use, and is warned of', async () => {
  expect(await said(config({}, [host('hv-a'), host('hv-b', { pools: [] })]))).toEqual([
    expect.stringMatching(/fewer than two hosts have it/),
  ]);
});

it('one of a host on which nothing can be run cannot', async () => {
  const esxi = host('esx-a', {
    hypervisor: { driver: 'vsphere', vcenter: 'vc' },
    commands: { driver: 'vsphere' },
  });
  const vcenters = [{ id: 'vc', url: 'https://vc/sdk', username: 'u', password: 'env:VC' }];
  const problems = await said({ ...config({}, [host('hv-a'), esxi]), vcenters });
  expect(problems).toContainEqual(expect.stringMatching(/nothing can be run on esx-a/));
});

it.each<[what: string, more: object, address: object | undefined]>([
  [
    'where VMedic reaches it by ssh',
    { commands: { driver: 'ssh', target: 'root@hv-a.mgmt' } },
    { address: 'hv-a.mgmt', port: 22 },
  ],
  [
    'at the port of its ssh',
    { commands: { driver: 'ssh', target: 'hv-a', options: ['-o', 'Port=2222'] } },
    { address: 'hv-a', port: 2222 },
  ],
  [
    'where its libvirt is reached by ssh',
    {
      hypervisor: { driver: 'libvirt', uri: 'qemu+ssh://root@[2001:db8::7]:2022/system' },
      commands: { driver: 'namespace', enter: ['true'] },
    },
    { address: '2001:db8::7', port: 2022 },
  ],
  ['where the config says', { management: { address: '192.0.2.9' } }, { address: '192.0.2.9', port: 22 }],
  [
    'nowhere, when that would be each neighbour itself',
    {
      hypervisor: { driver: 'libvirt', uri: 'qemu+ssh://root@127.0.0.1/system' },
      commands: { driver: 'ssh', target: 'root@localhost' },
    },
    undefined,
  ],
])('a host is looked for by its neighbours %s', async (_, more, address) => {
  const loaded = await checkConfig(stringify(config({}, [host('hv-a', more), host('hv-b')])), 'vmedic.yaml');
  if (!loaded.ok) throw new Error(loaded.problems.map((p) => p.sentence).join('; '));
  expect(fleetOf(loaded.config).clusters[0]?.hosts[0]?.management).toEqual(address);
});
