import type { DiskFormat } from './disk';

export interface BeatDomain {
  readonly name: string;
  readonly uuid: string;
  readonly disk: string;
  readonly format: DiskFormat;
  /** What the guest prints is appended here, whichever host it runs on. */
  readonly serial: string;
  /** Tells QEMU not to lock the image: storage on which two hosts can open one disk. Raw only, as libvirt refuses it otherwise. */
  readonly shareable?: boolean;
}

/** The least that a guest boots with. libvirt refuses the smaller machine types (`microvm`, `isapc`). */
const MEMORY_KIB = 4096;

/** The domain of a beat guest: TCG, no USB, no balloon, no screen, one disk, one serial port. */
export function domainXml(domain: BeatDomain): string {
  if (domain.shareable === true && domain.format !== 'raw')
    throw new RangeError(`${domain.name}: a shareable disk must be raw, libvirt refuses ${domain.format}`);
  const text = (value: string): string => value.replace(/[<>&'"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const isBlock = domain.disk.startsWith('/dev/');
  return `<domain type='qemu'>
  <name>${text(domain.name)}</name>
  <uuid>${text(domain.uuid)}</uuid>
  <memory unit='KiB'>${MEMORY_KIB}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='${isBlock ? 'block' : 'file'}' device='disk'>
      <driver name='qemu' type='${domain.format}' cache='none'/>
      <source ${isBlock ? 'dev' : 'file'}='${text(domain.disk)}'/>
      <target dev='vda' bus='virtio'/>${domain.shareable === true ? '\n      <shareable/>' : ''}
    </disk>
    <serial type='file'><source path='${text(domain.serial)}' append='on'/></serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
`;
}
