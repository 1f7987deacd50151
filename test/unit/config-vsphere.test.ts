import { stringify } from 'yaml';
import { checkConfig, fleetOf, problemText } from '../../workers/config';

const fencing = [{ name: 'bmc', devices: [{ id: 'esx-1-bmc', agent: 'fence_ipmilan' }] }];
const host = (more: object = {}) => ({
  id: 'esx-1',
  hypervisor: { driver: 'vsphere', vcenter: 'vc', name: 'esx1.example' },
  commands: { driver: 'vsphere' },
  capacity: { memoryMiB: 4096, vcpus: 8 },
  pools: ['fast'],
  fencing,
  ...more,
});
const vcenter = (more: object = {}) => ({
  ...{ id: 'vc', url: 'https://vc.example/sdk', username: 'vmedic@vsphere.local' },
  password: 'env:VC_PASSWORD',
  ...more,
});
const pool = (more: object = {}) => ({
  ...{ id: 'fast', type: 'vmfs', path: '/vmfs/volumes/fast', lockStrategy: 'none' },
  ...more,
});
const config = ({ hosts = [host()], vcenters = [vcenter()], pools = [pool()] } = {}): object => ({
  ...{ version: 1, vcenters, pools, clusters: [{ id: 'one', hosts }] },
});

async function sentences(written: object): Promise<string> {
  const loaded = await checkConfig(stringify(written), '/tmp/vmedic.yaml');
  return (loaded.ok ? loaded.warnings : loaded.problems).map(problemText).join('\n');
}

it('takes ESXi hosts, their vCenter and datastores as they are: negative control', async () => {
  expect(await sentences(config())).toBe('');
});

it('knows a host by what vCenter calls it, too', async () => {
  const loaded = await checkConfig(stringify(config()), '/tmp/vmedic.yaml');
  if (!loaded.ok) throw new Error(loaded.problems.map(problemText).join());
  expect(fleetOf(loaded.config).clusters[0]?.hosts[0]?.managedAs).toBe('esx1.example');
});

it('takes an NFS datastore without a strategy for NFS servers, and warns of nothing', async () => {
  expect(await sentences(config({ pools: [pool({ type: 'nfs' })] }))).toBe('');
});

it.each([
  ['a vCenter that is not declared', { vcenters: [vcenter({ id: 'vc2' })] }, 'there is no vCenter vc'],
  [
    'a vCenter that is declared twice',
    { vcenters: [vcenter(), vcenter()] },
    'vCenter vc is declared on line',
  ],
  [
    'a host that is half on vSphere',
    { hosts: [host({ commands: { driver: 'ssh', target: 'esx1' } })] },
    'esx-1 is half on vSphere',
  ],
  ['a password itself', { vcenters: [vcenter({ password: 'hunter2' })] }, 'a secret is a reference'],
  ['a vCenter without TLS', { vcenters: [vcenter({ url: 'http://vc.example/sdk' })] }, 'is https://HOST/sdk'],
  [
    'a thumbprint that is none',
    { vcenters: [vcenter({ thumbprint: 'AB:CD' })] },
    'is the SHA-256 of the certificate',
  ],
  [
    'locks of NFS servers for a datastore',
    { pools: [pool({ type: 'nfs', lockStrategy: 'nfs3-notify' })] },
    'nfs3-notify would release nothing; write none',
  ],
  [
    'a datastore by a path that is none of ESXi',
    { pools: [pool({ path: '/mnt/fast' })] },
    'its path is /vmfs/volumes/DATASTORE',
  ],
])('refuses %s', async (_, change, sentence) => {
  const said = await sentences(config(change));
  expect(said).toContain(sentence);
  expect(said).not.toContain('hunter2');
});

it('reads a thumbprint with and without colons', async () => {
  for (const thumbprint of ['ab'.repeat(32), Array(32).fill('AB').join(':')])
    expect(await sentences(config({ vcenters: [vcenter({ thumbprint })] }))).toBe('');
});

it('names each mistake at its place, all at once', async () => {
  const said = await sentences(
    config({ vcenters: [vcenter({ password: 'x' })], pools: [pool({ lockStrategy: 'nfs4-lease' })] }),
  );
  expect(said.split('\n')).toHaveLength(2);
});

it.each([
  [undefined, 'leave'],
  ['restart', 'restart'],
] as const)('leaves missing VMs to vSphere HA unless told otherwise (%p)', async (missingVms, policy) => {
  const clusters = [
    { id: 'one', hosts: [host()], policy: { watch: missingVms === undefined ? {} : { missingVms } } },
  ];
  const loaded = await checkConfig(stringify({ ...config(), clusters }), '/tmp/vmedic.yaml');
  if (!loaded.ok) throw new Error(loaded.problems.map(problemText).join());
  expect(fleetOf(loaded.config).clusters[0]?.policy.watch.missingVms).toBe(policy);
});
