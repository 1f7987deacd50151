/** What a VM's state and a target's state say against a relocation, before anything is sent. */
import { hostId, poolId, vmId } from '../../../domain/ids';
import type { MoveOrder } from '../../../domain/volume-move';
import type { Datastore } from '../../../drivers/vsphere/datastores';
import { targetProblems, vmProblems } from '../../../drivers/vsphere/preflight';
import type { Vcenter } from '../../../drivers/vsphere/vcenter';
import type { VimVm } from '../../../drivers/vsphere/virtual-machines';
import { child, parseXml, type XmlNode } from '../../../drivers/vsphere/xml';

const fast = poolId('fast');
const vm: VimVm = {
  ...{ ref: { type: 'VirtualMachine', value: 'vm-1' }, host: { type: 'HostSystem', value: 'host-1' } },
  ...{
    name: 'web',
    instanceUuid: '5000',
    vmx: '[slow] web/web.vmx',
    memoryMiB: 1_024,
    vcpus: 1,
    networks: [],
  },
  ...{ connection: 'connected', power: 'poweredOff', template: false, snapshots: false, disabled: [] },
  consolidationNeeded: false,
  disks: [
    {
      ...{
        key: 2_000,
        uuid: 'd1',
        label: 'Hard disk 1',
        file: '[slow] web/web.vmdk',
        bytes: 4_096,
        thin: true,
      },
      ...{ datastore: { type: 'Datastore', value: 'ds-1' }, chain: ['[slow] web/web.vmdk'], obstacles: [] },
    },
  ],
};
const order: MoveOrder = {
  ...{ attempt: 'm1', vmId: vmId('11111111-0000-4000-8000-000000000001'), hostId: hostId('esx-1') },
  disks: [{ disk: 'd1', to: fast }],
};
const store: Datastore = {
  ...{ ref: { type: 'Datastore', value: 'ds-2' }, name: 'fast', browser: { type: '', value: '' } },
  ...{ accessible: true, freeBytes: 1_000_000, mode: 'normal', writable: true },
};
const node = (xml: string): XmlNode => child(parseXml(`<val>${xml}</val>`), 'val')!;

function vcenter({ host = '', named = true } = {}): Vcenter {
  const runtime = `<connectionState>connected</connectionState><inMaintenanceMode>false</inMaintenanceMode>`;
  const read = new Map([
    ['name', node('esx1')],
    ['runtime', node(host === '' ? runtime : host)],
  ]);
  return {
    session: { retrieveOne: () => Promise.resolve(read), retrieve: () => Promise.resolve([]) },
    hostOfName: () => (named ? 'esx-1' : undefined),
    datastoreOf: () => (named ? 'fast' : undefined),
  } as unknown as Vcenter;
}

const saidOfVm = async (on: Vcenter, changed: Partial<VimVm> = {}): Promise<string[]> =>
  (await vmProblems(on, { ...vm, ...changed }, order, new AbortController().signal)).map((f) => f.sentence);

it('has nothing against a VM that is well', async () => {
  expect(await saidOfVm(vcenter())).toEqual([]);
});

it.each([
  ['it is a template', vcenter(), { template: true }],
  ['it has snapshots', vcenter(), { snapshots: true }],
  ['its disks need consolidation', vcenter(), { consolidationNeeded: true }],
  ['vCenter calls it orphaned', vcenter(), { connection: 'orphaned' }],
  ['somebody is at work on it', vcenter(), { disabled: ['RelocateVM_Task'] }],
  ['which the config does not name', vcenter({ named: false }), {}],
  [
    'its host esx1 is in maintenance',
    vcenter({
      host: '<connectionState>connected</connectionState><inMaintenanceMode>true</inMaintenanceMode>',
    }),
    {},
  ],
  [
    'its host esx1 is notResponding',
    vcenter({ host: '<connectionState>notResponding</connectionState>' }),
    {},
  ],
])('refuses a VM: %s', async (sentence, on, changed) => {
  expect((await saidOfVm(on, changed)).join('\n')).toContain(sentence);
});

it.each([
  ['no such pool', vcenter({ named: false }), store],
  ['does not mount the datastore fast', vcenter(), undefined],
  ['fast is not accessible', vcenter(), { ...store, accessible: false }],
  ['mounts fast read-only', vcenter(), { ...store, writable: false }],
  ['fast is enteringMaintenance', vcenter(), { ...store, mode: 'enteringMaintenance' }],
  ['4096 are needed', vcenter(), { ...store, freeBytes: 4_095 }],
])('refuses a target: %s', (sentence, on, target) => {
  const said = targetProblems(on, vm, order, fast, target).map((f) => f.sentence);
  expect(said.join('\n')).toContain(sentence);
  // The control: a target that is well.
  expect(targetProblems(vcenter(), vm, order, fast, { ...store, freeBytes: 4_096 })).toEqual([]);
});
