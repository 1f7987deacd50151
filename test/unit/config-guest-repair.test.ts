import { stringify } from 'yaml';
import { checkConfig, fleetOf } from '../../workers/config';
import { poolConfig, poolHost as host, saidOfConfig as said } from '../support/pool-config';

const config = poolConfig;
const automatic = { guestRepair: 'automatic' };

it('guests are repaired by hand unless the pool says otherwise', async () => {
  for (const [pool, expected] of [
    [{}, undefined],
    [{ guestRepair: 'by-hand' }, 'by-hand'],
    [automatic, 'automatic'],
  ] as const) {
    const loaded = await checkConfig(stringify(config(pool)), 'vmedic.yaml');
    if (!loaded.ok) throw new Error(loaded.problems.map((p) => p.sentence).join('; '));
    expect(fleetOf(loaded.config).pools[0]?.guestRepair).toBe(expected);
  }
});

it.each([
  ['whose disks no command on a host keeps', { type: 'rbd' }, undefined, /folders and volume groups only/],
  ['whose folder is not named', { path: undefined }, undefined, /folders and volume groups only/],
  [
    'that is a volume group of several hosts',
    { type: 'lvm', path: '/dev/vg' },
    undefined,
    /a snapshot belongs to one host/,
  ],
])('never without a person on a pool %s', async (_, pool, hosts, why) => {
  expect(await said(config({ ...pool, ...automatic }, hosts))).toContainEqual(expect.stringMatching(why));
});

it('never without a person where nothing can be run on a host', async () => {
  const esxi = host('esx-a', {
    hypervisor: { driver: 'vsphere', vcenter: 'vc' },
    commands: { driver: 'vsphere' },
  });
  const vcenters = [{ id: 'vc', url: 'https://vc/sdk', username: 'u', password: 'env:VC' }];
  const problems = await said({ ...config(automatic, [host('hv-a'), esxi]), vcenters });
  expect(problems).toContainEqual(expect.stringMatching(/nothing can be run on esx-a/));
});
