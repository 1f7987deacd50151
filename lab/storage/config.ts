import type { Bmc } from '../bmc/bmc';
import { EXPORT_PATH, type NfsLab, POOL_PATH, SERVER } from './nfs-lab';
import type { StorageLab } from './storage-lab';

const POOL = 'lab-nfs';
/** A guest of a guest is slow: what takes milliseconds elsewhere takes seconds here. */
const HEALTH = { kind: 'console' as const, pattern: 'VMEDIC-BEAT seq=', timeout: '60s' };

/** What `vmedic.yaml` says about a lab with an NFS server. `lockStrategy` by default the one with a shell on the server. */
export function nfsLabConfig(
  lab: NfsLab,
  lockStrategy = strategyOf(lab),
  more: { readonly cutAccess?: 'exportfs' } = {},
) {
  const server = lab.lab.guest(SERVER);
  const hasShell = lockStrategy !== 'nfs-appliance';
  return {
    version: 1 as const,
    clusters: [
      {
        id: 'lab',
        mode: 'automatic' as const,
        hosts: lab.hosts.map((id) => ({
          ...hostOfGuest(lab.lab, id, [POOL]),
          storageNames: [lab.lab.guest(id).address],
        })),
      },
    ],
    pools: [
      {
        ...{ id: POOL, type: 'nfs' as const, path: POOL_PATH, lockStrategy },
        ...{ server: hasShell ? SERVER : '127.0.0.1', version: lab.options.version },
        ...(hasShell
          ? { export: EXPORT_PATH, access: ssh(lab.lab, SERVER) }
          : { statd: { address: '127.0.0.1', port: server.statdPort } }),
        ...more,
      },
    ],
    health: { default: HEALTH },
  };
}

/** A guest as a host of a cluster, by its own name. */
export const hostOfGuest = (lab: StorageLab, id: string, pools: readonly string[]) => ({
  ...{ id, pools: [...pools], capacity: { memoryMiB: 128, vcpus: 16 } },
  hypervisor: { driver: 'libvirt' as const, uri: lab.libvirtUri(id) },
  commands: ssh(lab, id),
  fencing: [{ name: 'level-1', devices: [ipmi(id, lab.bmc(id))] }],
});

const ssh = (lab: StorageLab, target: string) => ({
  driver: 'ssh' as const,
  ...{ target, options: ['-F', lab.sshConfig] },
});

const strategyOf = (lab: NfsLab): 'nfs3-notify' | 'nfs4-expire' | 'nfs4-lease' | 'nfs-appliance' =>
  lab.options.version === '3' ? 'nfs3-notify' : 'nfs4-expire';

function ipmi(host: string, bmc: Bmc) {
  return {
    id: `${host}-ipmi`,
    agent: 'fence_ipmilan',
    options: {
      ...{ ip: bmc.address, ipport: bmc.port, username: bmc.username },
      ...{ lanplus: true, cipher: '3', power_wait: 0 },
    },
    password: `file:${bmc.passwordFile}`,
  };
}
