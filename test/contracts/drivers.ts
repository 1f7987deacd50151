/** Every port and the drivers that must obey its suite, with what a driver's test world cannot arrange, and why. */
import type { Need } from './contract';

export type ContractPort =
  | 'fencing'
  | 'hypervisor'
  | 'hostCommands'
  | 'storageLocks'
  | 'storageAccess'
  | 'volumes'
  | 'survey'
  | 'hints'
  | 'heartbeats'
  | 'guestRepair'
  | 'volumeMoves'
  | 'notifier'
  | 'inventory';

export interface ContractDriver {
  readonly port: ContractPort;
  readonly driver: string;
  readonly lacks: Readonly<Partial<Record<Need, string>>>;
  /** The words in a test file that run the suite there, where they are not `runContract('port', 'driver'`. */
  readonly runBy?: string;
}

const everything = {} as const;

const directoryLacks = {
  'server-locks': 'a directory pool keeps no locks at a server',
  activation: 'files in a directory need no activation',
} as const;

const vcenterLacks = {
  'transient-vms': 'vSphere keeps every VM until a person removes it',
  'paused-vms':
    'vSphere keeps no VM paused: one whose disk fails asks a question, one that is suspended is off',
  'asked-shutdown': 'guests of vSphere are shut down in vCenter: the driver refuses, and says so',
  'stop-reasons': 'vCenter tells that a VM is off, and not why',
  'hung-daemon': 'vCenter tells no hung host agent from a silent host',
  'frozen-host': 'vCenter tells no frozen host from a silent one',
  'console-output': 'vCenter shows no console output',
  'host-mark': 'nothing can be written on an ESXi host by way of its vCenter',
  'server-locks': 'an ESXi host keeps its locks in files of its own',
  activation: 'a datastore needs no activation by VM',
  'neighbours-view': 'nothing can be run on an ESXi host by way of its vCenter',
} as const;

export const contractDrivers: readonly ContractDriver[] = [
  ...(['simulated', 'simulated-process'] as const).flatMap((driver) =>
    (
      [
        ...(['fencing', 'hypervisor', 'hostCommands', 'storageLocks'] as const),
        ...([
          'storageAccess',
          'volumes',
          'volumeMoves',
          'survey',
          'hints',
          'heartbeats',
          'guestRepair',
          'notifier',
        ] as const),
      ] as const
    ).map((port): ContractDriver => ({ port, driver, lacks: everything })),
  ),
  { port: 'volumeMoves', driver: 'simulated (by itself)', lacks: everything },
  { port: 'fencing', driver: 'fence-agents', lacks: everything },
  { port: 'fencing', driver: 'fence-agents (Redfish)', lacks: everything },
  { port: 'hypervisor', driver: 'libvirt', lacks: everything },
  { port: 'hints', driver: 'libvirt', lacks: everything },
  { port: 'hypervisor', driver: 'vsphere', lacks: vcenterLacks },
  ...(['hostCommands', 'storageLocks', 'volumes'] as const).map((port): ContractDriver => ({
    port,
    driver: 'vsphere',
    lacks: vcenterLacks,
  })),
  {
    port: 'volumeMoves',
    driver: 'libvirt',
    lacks: {
      'lying-mover': 'QEMU is not told to lie; crashes at random moments are in the lab’s own suite',
      'hanging-mover': 'a copy of a small disk is over before it can be stopped',
      'full-pool': 'the pools of the lab share the file system of the machine',
    },
  },
  ...(['file to volume', 'volume to file'] as const).map((way): ContractDriver => ({
    port: 'volumeMoves',
    driver: `libvirt (${way})`,
    lacks: {
      'lying-mover': 'QEMU is not told to lie',
      'hanging-mover': 'a copy of a small disk is over before it can be stopped',
      'dead-host': 'no other host sees the volumes and files of this one',
      ...(way === 'volume to file' && { 'full-pool': 'its folder is as large as the machine' }),
    },
  })),
  { port: 'volumeMoves', driver: 'vsphere', lacks: everything },
  { port: 'hostCommands', driver: 'host-commands', lacks: everything },
  { port: 'heartbeats', driver: 'storage-heartbeat', lacks: everything },
  ...(['files', 'volumes'] as const).map((what): ContractDriver => ({
    ...{ port: 'guestRepair', driver: `host-commands (${what})` },
    lacks: { 'dead-host': 'its scripts run on this machine' },
  })),
  { port: 'guestRepair', driver: 'host-commands (LVM)', lacks: everything },
  { port: 'storageLocks', driver: 'directory', lacks: directoryLacks },
  { port: 'storageLocks', driver: 'nfs3-notify', lacks: everything },
  { port: 'storageLocks', driver: 'nfs4-expire', lacks: everything },
  { port: 'storageAccess', driver: 'exportfs', lacks: everything },
  { port: 'storageAccess', driver: 'exportfs (NFSv4)', lacks: everything },
  { port: 'volumes', driver: 'directory', lacks: directoryLacks },
  { port: 'volumes', driver: 'lvm', lacks: everything },
  {
    ...{ port: 'survey', driver: 'host-survey' },
    lacks: { 'lockless-pool': 'hosts of the light lab share one kernel, which sees every lock' },
  },
  { port: 'notifier', driver: 'alertmanager', lacks: everything },
  { port: 'notifier', driver: 'webhook', lacks: everything },
  {
    port: 'inventory',
    driver: 'postgres (embedded)',
    lacks: everything,
    runBy: 'inventory on the embedded PostgreSQL',
  },
  { port: 'inventory', driver: 'postgres (Debian)', lacks: everything, runBy: 'inventory on Debian' },
];
