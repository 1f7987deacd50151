/** Which files a relocation may have left behind, among those of people and VMs that work beside it. */
import type { FileOnDatastore } from '../../../drivers/vsphere/datastores';
import type { MoveImage } from '../../../drivers/vsphere/move-image';
import { judgeDisks, makersOf } from '../../../drivers/vsphere/move-verdict';
import { anotherMaker } from '../../../drivers/vsphere/remove-leftovers';
import type { Vcenter } from '../../../drivers/vsphere/vcenter';
import type { VimDisk } from '../../../drivers/vsphere/virtual-machines';
import type { MoRef } from '../../../drivers/vsphere/xml';

const [slow, fast] = ['datastore-1', 'datastore-2'];
const file = (datastore: string, path: string): FileOnDatastore => ({ datastore, path, bytes: 4_096 });
const diskOf = (datastore: string, path: string): FileOnDatastore[] => [
  file(datastore, `${path}.vmdk`),
  file(datastore, `${path}-flat.vmdk`),
];
const image: MoveImage = {
  ...{ vcenter: 'vc', vmRef: 'vm-1' },
  disks: [
    { uuid: 'd1', from: slow, to: fast, chain: ['[slow] web/web.vmdk'], bytes: 4_096, thin: false },
    { uuid: 'd2', from: slow, to: fast, chain: ['[slow] web/web_1.vmdk'], bytes: 4_096, thin: false },
  ],
  files: [
    ...[file(slow, 'web/web.vmx'), ...diskOf(slow, 'web/web'), ...diskOf(slow, 'web/web_1')],
    ...diskOf(fast, 'web_9/web'),
  ],
};
const disk = (uuid: string, datastore: string, name: string, path: string): VimDisk => ({
  ...{ key: 2_000, uuid, label: uuid, file: `[${name}] ${path}.vmdk`, bytes: 4_096, thin: false },
  ...{ datastore: { type: 'Datastore', value: datastore }, chain: [`[${name}] ${path}.vmdk`], obstacles: [] },
});
const home = { datastore: slow, path: 'web/web.vmx' };
const atSource = [disk('d1', slow, 'slow', 'web/web'), disk('d2', slow, 'slow', 'web/web_1')];
const atTarget = [disk('d1', fast, 'fast', 'web/web'), disk('d2', fast, 'fast', 'web/web_1')];
const left = (disks: readonly VimDisk[], files: readonly FileOnDatastore[]): string[] => {
  const judged = judgeDisks(image, { name: 'web', home, disks }, files);
  if (!('leftovers' in judged)) throw new Error(judged.detail);
  return judged.leftovers.map((l) => `${l.what} ${l.path}`);
};

it.each([
  ['what a relocation calls its copies', diskOf(fast, 'web/web'), ['copy web/web.vmdk']],
  ['a second disk of that', diskOf(fast, 'web/web_1'), ['copy web/web_1.vmdk']],
  ['a folder with a number, the name being taken', diskOf(fast, 'web_2/web'), ['copy web_2/web.vmdk']],
  [
    'an extent whose descriptor was not written',
    [file(fast, 'web/web-flat.vmdk')],
    ['copy web/web-flat.vmdk'],
  ],
])('takes for a copy of its own: %s', (_, found, wanted) => {
  expect(left(atSource, [...image.files, ...found])).toEqual(wanted);
});

it.each([
  ['what another VM whose name begins alike is being moved to', diskOf(fast, 'web2/web2')],
  ['the clone that somebody makes', diskOf(fast, 'web-new/web-new')],
  ['a file that somebody called otherwise', diskOf(fast, 'web/before-upgrade')],
  ['its own file of changed blocks', [file(slow, 'web/web-ctk.vmdk'), file(fast, 'web/web_1-ctk.vmdk')]],
  ['a file in a folder where another VM is at home', [file(fast, 'web/web.vmx'), ...diskOf(fast, 'web/web')]],
  ['a file in a folder of a template', [file(fast, 'web_1/web.vmtx'), ...diskOf(fast, 'web_1/web')]],
  ['what was there before', []],
  ['a file on a datastore that it has nothing to do with', diskOf('datastore-3', 'web/web')],
])('leaves alone: %s', (_, found) => {
  expect(left(atSource, [...image.files, ...found])).toEqual([]);
});

it('names what is left at the old places as sources, whatever lies beside them', () => {
  const files = [...image.files, file(slow, 'web/web-ctk.vmdk'), ...diskOf(fast, 'web/web')];
  const now = [...files, ...diskOf(fast, 'web/web_1'), ...diskOf(fast, 'web2/web2')];
  expect(left(atTarget, now)).toEqual(['source web/web.vmdk', 'source web/web_1.vmdk']);
});

it.each([
  ['web/web.vmdk', ['web']],
  ['web/web_1-flat.vmdk', ['web']],
  ['web_1/web.vmdk', ['web']],
  ['web_1/web_1.vmdk', ['web_1', 'web']],
  ['web_1/web_1_1.vmdk', ['web_1']],
  ['web/db.vmdk', []],
  ['web.vmdk', []],
])('%s may be a file of %j', (path, names) => {
  expect(makersOf(path)).toEqual(names);
});

it.each([
  ['web_1/web_1.vmdk', ['web', 'web_1'], 'web_1'],
  ['web/web.vmdk', ['web', 'web'], 'web'],
  ['web/web.vmdk', ['web', 'web2', 'db'], undefined],
])('does not take %s for its own while VMs are called %j', async (path, names, wanted) => {
  const vms = names.map((name, i) => ({
    ref: { type: 'VirtualMachine', value: `vm-${i + 1}` },
    properties: new Map([['name', { '#text': name }]]),
  }));
  const vcenter = { session: { all: () => Promise.resolve(vms) } } as unknown as Vcenter;
  const own: MoRef = { type: 'VirtualMachine', value: 'vm-1' };
  const at = { store: undefined as never, datastore: fast, path };
  expect(await anotherMaker(vcenter, at, own, new AbortController().signal)).toBe(wanted);
});
