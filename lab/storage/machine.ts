/** The machine that a guest is: what stands in its file `qemu`. Saved states fit only the very same words. */
import { join } from 'node:path';
import type { GuestKernel, StorageImage } from './image';

/**
 * - `server`: exports `/srv` (`vm` for images, `console` for what guests print).
 * - `kvm`: libvirtd; with `mount`, the server's folders at `/pool/vm` and `/pool/console`.
 * - `client`: the same folders, without libvirtd: somebody who uses the same server.
 * - `lvm`: LVM, XFS, udev and libvirtd, and whatever disks it is given.
 * - `idle`: an address on the network, nothing else.
 */
export type GuestRole = 'server' | 'kvm' | 'client' | 'lvm' | 'idle';

export interface GuestSpec {
  readonly name: string;
  readonly role: GuestRole;
  /** `right` by default for a server, `stock` for all others. */
  readonly kernel?: GuestKernel;
  /** kvm, client: how it mounts the pool of the lab's server. */
  readonly mount?: '3' | '4.2';
  /** kvm, client: further mount options, such as `nolock`. */
  readonly mountOptions?: string;
  /** server: NFSv4 lease, 10 by default. */
  readonly leaseSeconds?: number;
  /** Empty disks beside its own: `/dev/vdc` and on, in this order. They keep what is written when the power is cut. */
  readonly disks?: readonly { readonly name: string; readonly mebibytes: number }[];
  readonly memoryMiB?: number;
}

export interface Placed {
  readonly spec: GuestSpec;
  readonly folder: string;
  readonly address: string;
  readonly sshPort: number;
  /** server: where the worker's machine reaches its statd over UDP. */
  readonly statdPort?: number;
}

export const STATD_PORT = 32_765;

export const kernelOf = (spec: GuestSpec): GuestKernel =>
  spec.kernel ?? (spec.role === 'server' ? 'right' : 'stock');

/** `group` is the multicast group that stands in for the cable between the guests. */
export function machineScript(
  image: StorageImage,
  placed: Placed,
  hosts: Readonly<Record<string, string>>,
  group: string,
): string {
  const words = qemuWords(image, placed, hosts, group);
  const quoted = words.map((word) => `'${word.replaceAll("'", `'"'"'`)}'`);
  return `#!/bin/sh\nexec qemu-system-x86_64 ${quoted.join(' \\\n  ')} "$@"\n`;
}

/** What a saved state depends on besides the image: everything but places and ports. */
export const machineShape = (placed: Placed, hosts: Readonly<Record<string, string>>): string =>
  kernelWords(placed, hosts) + JSON.stringify(placed.spec);

function kernelWords({ spec, address }: Placed, hosts: Readonly<Record<string, string>>): string {
  const settings: Record<string, string | number | undefined> = {
    name: spec.name,
    role: spec.role,
    ip: address,
    hosts: Object.entries(hosts)
      .map(([name, ip]) => `${name}:${ip}`)
      .join(','),
    mount: spec.mount,
    options: spec.mountOptions,
    lease: spec.leaseSeconds,
    statd: spec.role === 'server' ? STATD_PORT : undefined,
  };
  const lab = Object.entries(settings).flatMap(([key, value]) =>
    value === undefined ? [] : [`lab.${key}=${value}`],
  );
  const quick = 'mitigations=off nokaslr tsc=reliable no_timer_check random.trust_cpu=on net.ifnames=0';
  return ['console=ttyS0 quiet loglevel=4 panic=-1', quick, ...lab].join(' ');
}

function qemuWords(
  image: StorageImage,
  placed: Placed,
  hosts: Readonly<Record<string, string>>,
  group: string,
): string[] {
  const { spec, folder, address, sshPort, statdPort } = placed;
  const kernel = kernelOf(spec);
  const last = Number(address.split('.').at(-1)).toString(16).padStart(2, '0');
  const forwards = [`hostfwd=tcp:127.0.0.1:${sshPort}-10.0.2.15:22`];
  if (statdPort !== undefined) forwards.push(`hostfwd=udp:127.0.0.1:${statdPort}-10.0.2.15:${STATD_PORT}`);
  const disk = (id: string, file: string, more: string): string[] => [
    ...['-drive', `if=none,id=${id},format=raw,cache=unsafe,file=${file}${more}`],
    ...['-device', `virtio-blk-pci,drive=${id}`],
  ];
  return [
    ...[
      '-name',
      spec.name,
      '-machine',
      'q35,usb=off',
      '-accel',
      'tcg,thread=single',
      '-cpu',
      'max',
      '-smp',
      '1',
    ],
    ...[
      '-m',
      String(spec.memoryMiB ?? 512),
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-no-reboot',
    ],
    ...[
      '-kernel',
      join(image.folder, `vmlinux-${kernel}`),
      '-initrd',
      join(image.folder, `initrd-${kernel}`),
    ],
    ...['-append', kernelWords(placed, hosts)],
    ...[
      '-serial',
      `file:${join(folder, 'console')}`,
      '-qmp',
      `unix:${join(folder, 'qmp')},server=on,wait=off`,
    ],
    // The root is every guest's, so nobody locks it; nothing is written to it.
    ...disk('root', join(image.folder, 'base.ext4'), ',readonly=on,file.locking=off'),
    ...disk('keep', join(folder, 'keep.raw'), ''),
    ...(spec.disks ?? []).flatMap(({ name }, at) => disk(`data${at}`, join(folder, `${name}.raw`), '')),
    ...['-netdev', `socket,id=lan,mcast=${group},localaddr=127.0.0.1`],
    ...['-device', `virtio-net-pci,netdev=lan,mac=52:54:00:77:00:${last},romfile=`],
    // Restricted, QEMU's network lets no UDP answer out again (libslirp, udp_input), and statd must answer.
    ...['-netdev', `user,id=way-in,restrict=${statdPort === undefined ? 'on' : 'off'},${forwards.join(',')}`],
    ...['-device', `virtio-net-pci,netdev=way-in,mac=52:54:00:78:00:${last},romfile=`],
    ...['-device', 'virtio-rng-pci'],
  ];
}
