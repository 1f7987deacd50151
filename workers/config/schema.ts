/** The shape of `vmedic.yaml`. Unknown keys are refused everywhere: a mistyped key that is ignored is a setting that is not in force. */
import { z } from 'zod';
import { duration, idText, secret, secretRule } from './fields';
import { alerts, api, notify } from './front-schema';
import type {
  ClusterConfig,
  CommandsConfig,
  FenceDeviceConfig,
  FenceLevelConfig,
  HealthConfig,
  HostConfig,
  HypervisorConfig,
  PolicyConfig,
  PoolConfig,
  ShellConfig,
  VcenterConfig,
  VmConfig,
  VmedicConfig,
  WatchConfig,
} from './types';

const id = idText;
const name = z.string().min(1, { error: 'must not be empty' });
const count = (least: number) => z.int().min(least);
const percent = z.int().min(0).max(100);

/** As `virsh -c` takes it: a hypervisor, perhaps a transport, perhaps a machine. */
const libvirtUri = z
  .string()
  .regex(/^(qemu|ch|test)(\+(ssh|libssh2?|tls|tcp|unix|ext))?:\/\/[^\s]*\/[^\s]*$/, {
    error: 'is a libvirt URI of a KVM host, for instance qemu+ssh://vmedic@hv-a.example/system',
  })
  .meta({
    description: 'As virsh -c takes it: qemu+ssh://user@host/system, or qemu:///system on the host itself.',
  });

const timeout = duration.optional();
const health = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('running'), timeout }),
  z.strictObject({ kind: z.literal('guest-agent'), timeout }),
  z.strictObject({
    kind: z.literal('tcp'),
    address: name,
    port: z.int().min(1).max(65_535),
    timeout,
  }),
  z.strictObject({
    kind: z.literal('console'),
    pattern: z
      .string()
      .refine(isPattern, { error: 'is no regular expression' })
      .meta({ description: 'A regular expression; looked for in what the console prints after the start.' }),
    timeout,
  }),
]) satisfies z.ZodType<HealthConfig>;

function isPattern(text: string): boolean {
  try {
    new RegExp(text);
    return true;
  } catch (cause) {
    if (cause instanceof SyntaxError) return false;
    throw cause;
  }
}

const argv = z.array(name).min(1, { error: 'needs the program at least' });

const hypervisor = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('libvirt'), uri: libvirtUri }),
  z.strictObject({
    driver: z.literal('vsphere'),
    vcenter: id.meta({ description: 'The id of one of vcenters.' }),
    name: name.optional().meta({ description: 'The name of the host as vCenter shows it. Default: the id.' }),
    address: name.optional().meta({ description: 'Where the host itself answers. Default: its name.' }),
  }),
  z.strictObject({ driver: z.literal('simulated') }),
]) satisfies z.ZodType<HypervisorConfig>;

const bySsh = z.strictObject({
  driver: z.literal('ssh'),
  target: name.meta({ description: 'As for ssh: user@host, or a name of ssh_config.' }),
  options: z.array(name).optional(),
  bootIdCommand: argv.optional(),
});
const byNamespace = z.strictObject({
  driver: z.literal('namespace'),
  enter: argv.meta({ description: 'Program and arguments that run what follows on the host.' }),
  bootIdCommand: argv.optional(),
});
const shell = z.discriminatedUnion('driver', [bySsh, byNamespace]) satisfies z.ZodType<ShellConfig>;

const commands = z.discriminatedUnion('driver', [
  bySsh,
  byNamespace,
  z.strictObject({ driver: z.literal('vsphere') }),
  z.strictObject({ driver: z.literal('simulated') }),
]) satisfies z.ZodType<CommandsConfig>;

const vcenter = z.strictObject({
  id,
  url: z.string().regex(/^https:\/\/[^/\s]+\/sdk\/?$/, { error: 'is https://HOST/sdk' }),
  username: name,
  password: secret,
  ca: secret.optional(),
  thumbprint: z
    .string()
    .regex(/^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/, {
      error: 'is the SHA-256 of the certificate: 64 hexadecimal digits, with or without colons',
    })
    .optional(),
  instanceUuid: name.optional(),
}) satisfies z.ZodType<VcenterConfig>;

const device = z.strictObject({
  id,
  agent: name.meta({ description: 'A ClusterLabs fence agent, for instance fence_ipmilan.' }),
  options: z.record(name, z.union([z.string(), z.number(), z.boolean()])).optional(),
  password: secret.optional(),
}) satisfies z.ZodType<FenceDeviceConfig>;

const level = z.strictObject({
  name,
  devices: z
    .array(device)
    .min(1, { error: 'a level without a device proves nothing: name one, or leave the level out' }),
}) satisfies z.ZodType<FenceLevelConfig>;

const host = z.strictObject({
  id,
  hypervisor,
  commands,
  ownerFile: z
    .string()
    .startsWith('/', { error: 'must be an absolute path' })
    .optional()
    .meta({
      description:
        'Where on the host the mark of its VMedic is kept, so that a second installation that is pointed at the same hosts only observes. Default: ' +
        '/var/lib/vmedic/owner by ssh, nowhere else.',
    }),
  capacity: z.strictObject({ memoryMiB: count(1), vcpus: count(1) }),
  pools: z.array(id).optional(),
  networks: z
    .array(name)
    .optional()
    .meta({
      description:
        'The networks that VMs find on this host: bridges or networks of libvirt; of vSphere the names of standard port groups and the keys of ' +
        'distributed ones (dvportgroup-12). A VM is only ever started where all of its networks are.',
    }),
  storageNames: z.array(name).optional().meta({
    description:
      'Every name and address under which NFS servers know this host: its locks are found by them.',
  }),
  fencing: z.array(level).optional(),
  management: z
    .strictObject({ address: name, port: z.int().min(1).max(65_535).optional() })
    .optional()
    .meta({
      description:
        'Where its neighbours reach it (default port: 22). A host that they reach is not taken for dead, however silent it is towards VMedic. ' +
        'Default: where VMedic reaches it by ssh.',
    }),
}) satisfies z.ZodType<HostConfig>;

const guestShutdown = z.enum(['respect', 'restart']).optional().meta({
  description: 'What becomes of a VM that its own guest shut down cleanly. Default: respect, it stays down.',
});

const onIoError = z.enum(['resume', 'restart', 'leave']).optional().meta({
  description:
    'What becomes of a VM that its host has paused because its disk failed. Default: resume, it goes on where it stands once its disk lets it; restart ends its process and starts it anew.',
});

const vm = z.strictObject({
  protect: z.boolean().optional(),
  priority: z
    .union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)], {
      error: 'is 1 (comes back first) to 5',
    })
    .optional(),
  antiAffinity: name.optional(),
  health: health.optional(),
  guestShutdown,
  onIoError,
}) satisfies z.ZodType<VmConfig>;

const watch = z.strictObject({
  suspectAfter: duration.optional(),
  vmGrace: duration.optional(),
  guestShutdown,
  onIoError,
  missingVms: z.enum(['restart', 'leave']).optional().meta({
    description:
      'What becomes of a VM that stops on a host that lives. Default: restart; leave where a host is driven through vCenter, whose own HA restarts it.',
  }),
  readinessEvery: duration.optional().meta({
    description: 'How often it is surveyed whether every VM would come back now. Default: 30m.',
  }),
  restartBudget: z.strictObject({ restarts: count(1).optional(), per: duration.optional() }).optional(),
}) satisfies z.ZodType<WatchConfig>;

const policy = z.strictObject({
  blastRadius: z.strictObject({ hosts: count(0).optional(), percent: percent.optional() }).optional(),
  fenceDegraded: z.boolean().optional(),
  concurrency: z.strictObject({ window: count(1).optional(), perHost: count(1).optional() }).optional(),
  confirmEvery: duration.optional(),
  fenceRetry: z.strictObject({ first: duration.optional(), max: duration.optional() }).optional(),
  storageDeadline: duration.optional(),
  readBackDeadline: duration.optional(),
  headroomPercent: percent.optional(),
  health: health.optional(),
  watch: watch.optional(),
}) satisfies z.ZodType<PolicyConfig>;

const cluster = z.strictObject({
  id,
  mode: z.enum(['observe', 'approve', 'automatic']).optional().meta({
    description: 'What VMedic does by itself when a host fails. Default: observe.',
    default: 'observe',
  }),
  hosts: z.array(host).min(1, { error: 'a cluster needs a host' }),
  vms: z.record(name, vm).optional().meta({ description: 'By VM name or UUID.' }),
  policy: policy.optional(),
}) satisfies z.ZodType<ClusterConfig>;

const pool = z.strictObject({
  id,
  type: z.enum(['dir', 'nfs', 'lvm', 'vmfs', 'rbd', 'iscsi']),
  path: z.string().startsWith('/', { error: 'must be an absolute path' }).optional(),
  lockStrategy: z
    .enum(['none', 'nfs3-notify', 'nfs4-expire', 'nfs4-lease', 'nfs-appliance', 'unsupported'])
    .optional()
    .meta({
      description:
        'How locks of a dead host are released. Left out: unsupported, and nothing is started by guess.',
    }),
  heartbeat: z.boolean().optional().meta({
    description:
      'Types dir and nfs: its hosts write a small file there every second, by which a host that is silent towards VMedic is known to live.',
    default: false,
  }),
  guestRepair: z
    .enum(['by-hand', 'automatic'])
    .optional()
    .meta({
      description:
        'Types dir, nfs and lvm: what becomes of a guest that was started and does not get well, all of its disks being on such pools. automatic: it is ' +
        'stopped, its disks are kept as they are, its journals replayed and its file systems checked; back to what was kept if that did not help.',
      default: 'by-hand',
    }),
  server: name.optional().meta({ description: 'NFS: the server, as the hosts mount it.' }),
  export: z
    .string()
    .startsWith('/', { error: 'must be an absolute path' })
    .optional()
    .meta({ description: "NFS: the exported folder, as the server's own file system has it." }),
  version: z.enum(['3', '4', '4.1', '4.2']).optional().meta({ description: 'NFS: the version mounted.' }),
  access: shell.optional().meta({
    description: 'NFS: a shell on the server (root), which shows and releases the locks of one client.',
  }),
  lease: duration.optional().meta({
    description: 'NFS, nfs4-lease without access: how long the server keeps the state of a silent client.',
  }),
  cutAccess: z
    .enum(['exportfs'])
    .optional()
    .meta({
      description:
        'NFS: before a host is switched off its server takes no write of it any more, until it is readmitted. exportfs: by access, on a Linux ' +
        'server, for exactly that host. Left out: only power keeps it from writing.',
    }),
  statd: z
    .strictObject({ address: name.optional(), port: z.int().min(1).max(65_535).optional() })
    .optional()
    .meta({ description: 'NFS, nfs-appliance: where its statd is reached. By default: server, by rpcbind.' }),
}) satisfies z.ZodType<PoolConfig>;

export const vmedicSchema = z.strictObject({
  version: z.literal(1, { error: 'must be 1' }),
  clusters: z.array(cluster).min(1, { error: 'needs a cluster' }),
  vcenters: z.array(vcenter).optional(),
  pools: z.array(pool).optional(),
  health: z.strictObject({ default: health }).optional(),
  inventory: z
    .strictObject({
      url: z
        .string()
        .regex(/^(postgres(ql)?:\/\/|file:|env:)/, {
          error: 'is a postgresql:// URL, or a reference to one: file:PATH, env:NAME',
        })
        .refine(hasNoPassword, { error: `holds a password; ${secretRule}` }),
    })
    .optional(),
  temporal: z
    .strictObject({
      address: z
        .string()
        .regex(/^.+:\d+$/, { error: 'is host:port' })
        .optional(),
      namespace: name.optional(),
      workerVersions: z.boolean().optional().meta({
        description:
          'Runs stay on the version of the workers that began them (docs/operate.md, Upgrading). For workers started by vmedic worker.',
        default: false,
      }),
      apiKey: secret.optional(),
      tls: z
        .strictObject({
          serverName: name.optional(),
          ca: secret.optional(),
          certificate: secret.optional(),
          key: secret.optional(),
        })
        .optional(),
    })
    .optional(),
  api: api.optional(),
  notify: notify.optional(),
  alerts: alerts.optional(),
  keepDays: count(1).optional().meta({
    description: 'How long closed incidents, cleared alerts and the audit trail are kept. Default: 400.',
    default: 400,
  }),
  signingKey: secret.optional().meta({
    description: 'Ed25519 private key (PEM) that signs incident reports. Left out: one made in stateDir.',
  }),
  simulated: z.strictObject({ socket: name }).optional(),
  stateDir: name.optional(),
}) satisfies z.ZodType<VmedicConfig>;

function hasNoPassword(text: string): boolean {
  return !URL.canParse(text) || new URL(text).password === '';
}

/** The published JSON Schema (draft 2020-12) of what may be written. */
export function configSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(vmedicSchema, { io: 'input', reused: 'ref' });
  return { $schema, $id: 'urn:vmedic:config:1', title: 'vmedic.yaml', ...rest };
}
