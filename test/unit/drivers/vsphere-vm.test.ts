/** A VM as vCenter tells it, and what makes it or a disk of it one that a plain relocation must not touch. */
import { type Properties, objectOf } from '../../../drivers/vsphere/properties';
import { vmOf } from '../../../drivers/vsphere/virtual-machines';
import { child, parseXml } from '../../../drivers/vsphere/xml';

const ref = { type: 'VirtualMachine', value: 'vm-42' };
const datastore = '<datastore type="Datastore">datastore-1</datastore>';
const flat = (more = '', file = '[slow] web/web.vmdk'): string =>
  `<backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>${file}</fileName>${datastore}` +
  `<uuid>6000C29e</uuid><thinProvisioned>true</thinProvisioned>${more}</backing>`;
const disk = (backing: string, more = ''): string =>
  `<VirtualDevice xsi:type="VirtualDisk"><key>2000</key><deviceInfo><label>Hard disk 1</label></deviceInfo>` +
  `${backing}<capacityInBytes>4096</capacityInBytes>${more}</VirtualDevice>`;

function read(devices: string, more: Readonly<Record<string, string>> = {}): Properties {
  const values: Readonly<Record<string, string>> = {
    name: '<val>a%2fb</val>',
    'config.instanceUuid': '<val>5000</val>',
    'config.hardware.device': `<val xsi:type="ArrayOfVirtualDevice">${devices}</val>`,
    'runtime.host': '<val type="HostSystem">host-1</val>',
    'runtime.connectionState': '<val>connected</val>',
    ...more,
  };
  const set = Object.entries(values).map(([name, val]) => `<propSet><name>${name}</name>${val}</propSet>`);
  const xml = `<objects xmlns:xsi="x"><obj type="VirtualMachine">vm-42</obj>${set.join('')}</objects>`;
  return objectOf(child(parseXml(xml), 'objects')!).object.properties;
}

it('reads names unescaped, and a disk with its place, its size and its whole chain', () => {
  const vm = vmOf(ref, read(disk(flat())));
  expect(vm).toMatchObject({ name: 'a/b', host: { type: 'HostSystem', value: 'host-1' }, snapshots: false });
  expect(vm.disks).toMatchObject([
    {
      ...{ uuid: '6000C29e', label: 'Hard disk 1', file: '[slow] web/web.vmdk', bytes: 4_096, thin: true },
      ...{ datastore: { type: 'Datastore', value: 'datastore-1' }, chain: ['[slow] web/web.vmdk'] },
      obstacles: [],
    },
  ]);
});

const parent = (file: string): string => `<parent><fileName>${file}</fileName></parent>`;
it.each([
  [
    'a raw device mapping',
    disk(flat().replace('VirtualDiskFlatVer2BackingInfo', 'VirtualDiskRawDiskMappingVer1BackingInfo')),
    'it is a raw device mapping',
  ],
  ['a first class disk', disk(flat(), '<vDiskId><id>fcd-1</id></vDiskId>'), 'it is a first class disk'],
  ['an encrypted disk', disk(flat('<keyId><keyId>k1</keyId></keyId>')), 'it is encrypted'],
  [
    'a disk of several writers',
    disk(flat('<sharing>sharingMultiWriter</sharing>')),
    'several VMs may write to it',
  ],
  [
    'a snapshot',
    disk(flat(parent('[slow] web/web.vmdk'), '[slow] web/web-000001.vmdk')),
    'it has a snapshot or is a linked clone',
  ],
  [
    'a linked clone of another datastore',
    disk(flat(parent('[gold] base/base.vmdk'))),
    'its chain lies on several datastores',
  ],
])('names what keeps a disk from being moved: %s', (_, device, sentence) => {
  const [read1] = vmOf(ref, read(device)).disks;
  expect(read1?.obstacles.join('; ')).toContain(sentence);
});

it.each([
  ['snapshots', 'snapshot', '<val><rootSnapshotList><name>s</name></rootSnapshotList></val>', 'snapshots'],
  [
    'disks that need consolidation',
    'runtime.consolidationNeeded',
    '<val>true</val>',
    'consolidationNeeded',
  ] as const,
  ['being a template', 'config.template', '<val>true</val>', 'template'],
] as const)('sees of a VM: %s', (_, path, value, field) => {
  expect(vmOf(ref, read(disk(flat())))[field]).toBe(false);
  expect(vmOf(ref, read(disk(flat()), { [path]: value }))[field]).toBe(true);
});

it('says nothing of the disks of a VM whose configuration its host cannot read', () => {
  const unread = read(disk(flat()));
  const without = new Map([...unread].filter(([path]) => path !== 'config.hardware.device'));
  expect(() => vmOf(ref, without)).toThrow('no readable configuration');
});
