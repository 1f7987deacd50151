import { poolId } from '../../../domain/ids';
import { shapeOf } from '../../../drivers/libvirt/domain-xml';

const domain = (
  devices: string,
  head = "<memory unit='KiB'>2097153</memory><vcpu placement='static'>4</vcpu>",
) => `<domain type='kvm'><name>n</name>${head}<devices>${devices}</devices></domain>`;

const pool = (path: string) => (path.startsWith('/pool/') ? poolId('p') : undefined);

it('reads memory upwards, vCPU, disks, networks and the console', () => {
  const shape = shapeOf(
    domain(`
      <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/pool/a &amp; b.qcow2'/><target dev='vda'/></disk>
      <disk type='block' device='disk'><driver type='raw'/><source dev='/dev/vg/lv'/><target dev='vdb'/><shareable/></disk>
      <disk type='network' device='disk'><source protocol='rbd' name='rbd/x'><host name='m1'/></source><target dev='vdc'/></disk>
      <interface type='bridge'><source bridge='br0'/></interface>
      <interface type='network'><source network='lan' portid='1'/></interface>
      <interface type='user'/>
      <serial type='pty'/><serial type='file'><source path='/log/x' append='on'/></serial>`),
    pool,
  );
  expect(shape).toEqual({
    memoryMiB: 2049,
    vcpus: 4,
    disks: [
      { device: 'vda', path: '/pool/a & b.qcow2', format: 'qcow2', poolId: 'p', shareable: false },
      { device: 'vdb', path: '/dev/vg/lv', format: 'raw', poolId: undefined, shareable: true },
      { device: 'vdc', path: 'rbd:rbd/x', format: 'raw', poolId: undefined, shareable: false },
    ],
    networks: ['br0', 'lan'],
    consolePath: '/log/x',
  });
});

it('leaves out drives that keep no VM from starting, and keeps those that do', () => {
  const shape = shapeOf(
    domain(`
      <disk type='file' device='cdrom'><target dev='sda'/></disk>
      <disk type='file' device='cdrom'><source file='/iso/may-be-away' startupPolicy='optional'/><target dev='sdb'/></disk>
      <disk type='file' device='cdrom'><source file='/iso/must-be-there'/><target dev='sdc'/></disk>`),
    pool,
  );
  expect(shape.disks).toMatchObject([{ path: '/iso/must-be-there', readonly: true }]);
});

it.each([
  ["<memory unit='GiB'>2</memory>", 2048],
  ["<memory unit='MB'>1000</memory>", 954],
  ['<memory>1048576</memory>', 1024],
  ["<memory unit='bytes'>1</memory>", 1],
])('reads %s as %d MiB', (memory, mib) => {
  expect(shapeOf(domain('', memory), pool).memoryMiB).toBe(mib);
});

it.each(['', '<domain', '<other/>', domain('', "<memory unit='parsec'>1</memory>"), domain('', '')])(
  'refuses %j instead of guessing',
  (text) => {
    expect(() => shapeOf(text, pool)).toThrow(/\S/);
  },
);
