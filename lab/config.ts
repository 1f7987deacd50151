import { join } from 'node:path';
import type { Bmc } from './bmc/bmc';
import type { Lab } from './lab';

/** A beat guest is well when it beats. */
const CONSOLE_PATTERN = 'VMEDIC-BEAT seq=';
const POOL = 'lab-shared';
const SECOND_POOL = 'lab-second';

export interface LabCapacity {
  /** What placement may count on, per host. A beat guest takes 4 MiB and one vCPU. */
  readonly memoryMiB: number;
  readonly vcpus: number;
}

/** Room for some sixty guests on each host, and few enough for a test to fill it. */
const DEFAULT_CAPACITY: LabCapacity = { memoryMiB: 256, vcpus: 64 };

export interface LabFenceLevel {
  readonly name: string;
  readonly devices: readonly {
    readonly id: string;
    readonly agent: string;
    readonly options: Readonly<Record<string, string | number | boolean>>;
    readonly password: string;
  }[];
}

/** What `vmedic.yaml` says about this lab: hosts, fencing by IPMI and then Redfish, the shared folder, health by console. */
export function labConfig(lab: Lab, capacity: LabCapacity = DEFAULT_CAPACITY) {
  return {
    version: 1 as const,
    clusters: [
      {
        id: 'lab',
        mode: 'automatic' as const,
        hosts: lab.hosts.map((host) => ({
          id: host.id,
          hypervisor: { driver: 'libvirt' as const, uri: host.uri },
          commands: { driver: 'namespace' as const, enter: [...host.enter] },
          ownerFile: join(host.folder, 'owner'),
          capacity: { ...capacity },
          pools: [POOL, SECOND_POOL],
          fencing: fencingOf(lab, host.id),
        })),
      },
    ],
    pools: [
      { id: POOL, type: 'dir' as const, path: join(lab.folder, 'disks'), lockStrategy: 'none' as const },
      {
        id: SECOND_POOL,
        type: 'dir' as const,
        path: join(lab.folder, 'disks-2'),
        lockStrategy: 'none' as const,
      },
    ],
    health: { default: { kind: 'console' as const, pattern: CONSOLE_PATTERN, timeout: '20s' } },
  };
}

function fencingOf(lab: Lab, host: string): LabFenceLevel[] {
  const { ipmi, redfish } = lab.bmc(host);
  const login = (bmc: Bmc) => ({
    ip: bmc.address,
    ipport: bmc.port,
    username: bmc.username,
  });
  return [
    {
      name: 'level-1',
      devices: [
        {
          id: `${host}-ipmi`,
          agent: 'fence_ipmilan',
          // ipmi_sim knows cipher suite 3, not 17; and it is off when it says so, so nothing need be waited for.
          options: { ...login(ipmi), lanplus: true, cipher: '3', power_wait: 0 },
          password: `file:${ipmi.passwordFile}`,
        },
      ],
    },
    {
      name: 'level-2',
      devices: [
        {
          id: `${host}-redfish`,
          agent: 'fence_redfish',
          options: { ...login(redfish), ssl_insecure: true, systems_uri: redfish.systemsUri },
          password: `file:${redfish.passwordFile}`,
        },
      ],
    },
  ];
}
