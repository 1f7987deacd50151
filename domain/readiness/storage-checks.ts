/** Whether a pool's locks guard, can be released, and whether its images can be opened from other hosts. */
import type { HostId } from '../ids';
import type { HostFacts, MountFact, PoolFacts, VolumeGroupFact } from './facts';
import type { Finding, ReadinessCheck } from './report';

export function poolFindings(facts: PoolFacts, hosts: readonly HostFacts[]): Finding[] {
  const { pool } = facts;
  const users = hosts.filter((h) => h.host.pools.includes(pool.id));
  return [
    ...strategyFindings(facts),
    ...accessFindings(facts),
    ...neverReleased(facts, users),
    ...lockTestFindings(facts),
    ...users.flatMap((h) => mountFindings(facts, h)),
    ...users.flatMap((h) => (pool.type === 'lvm' ? lvmFindings(facts, h, users.length > 1) : [])),
  ];
}

const found = (
  { pool }: PoolFacts,
  check: ReadinessCheck,
  severity: Finding['severity'],
  sentence: string,
  next: string,
): Finding => ({ check, severity, about: { kind: 'pool', id: pool.id }, sentence, next });

function strategyFindings(facts: PoolFacts): Finding[] {
  const { pool, strategy } = facts;
  if (pool.lockStrategy === 'unsupported')
    return [
      found(
        facts,
        'strategy-missing',
        'blocks',
        `Pool ${pool.id} (${pool.type}) has no lock strategy, so nothing on it is ever started elsewhere by guess`,
        `name its lockStrategy in the config; vmedic config check lists them`,
      ),
    ];
  if (strategy?.kind !== 'not-read') return [];
  return [
    found(
      facts,
      'strategy-unreachable',
      'blocks',
      `Locks on pool ${pool.id} could not be released by ${pool.lockStrategy} now: ${strategy.detail}`,
      `check the way from VMedic's machine to the pool's server (address, ssh key, port, rights)`,
    ),
  ];
}

/** A host that lost its right to write there takes no VM, and a server that is not reached cuts nobody's. */
function accessFindings(facts: PoolFacts): Finding[] {
  const { pool, access = [] } = facts;
  return access.flatMap(({ hostId, read }): Finding[] => {
    if (read.kind === 'not-read')
      return [
        found(
          facts,
          'access-unreachable',
          'risks',
          `Access of ${hostId} to pool ${pool.id} could not be cut now: ${read.detail}`,
          `check the way to the pool's server, and its exports against "export" and storageNames in the config`,
        ),
      ];
    if (read.value === 'open') return [];
    return [
      found(
        facts,
        'access-cut',
        'risks',
        `The server of pool ${pool.id} takes no write of ${hostId}, which is in service`,
        `vmedic host readmit ${hostId}, or exportfs -s on the server where VMedic did not cut it`,
      ),
    ];
  });
}

/** An NFSv3 server keeps the locks of a dead host for ever; with nobody to release them its VMs cannot get theirs. */
function neverReleased(facts: PoolFacts, users: readonly HostFacts[]): Finding[] {
  if (facts.pool.lockStrategy !== 'none' || facts.pool.type !== 'nfs') return [];
  const v3 = users.some((h) => mountOf(facts, h)?.options.some((o) => /^(nfs)?vers=3/.test(o)) === true);
  return [
    found(
      facts,
      'locks-never-released',
      v3 ? 'blocks' : 'risks',
      `Pool ${facts.pool.id} is NFS and its lockStrategy is "none": the locks of a dead host stay at the server${v3 ? ' for ever' : ' until its lease ends'}`,
      v3 ? 'set lockStrategy: nfs3-notify' : 'set lockStrategy: nfs4-expire or nfs4-lease',
    ),
  ];
}

function lockTestFindings(facts: PoolFacts): Finding[] {
  const { pool, lockTest } = facts;
  if (lockTest === undefined || lockTest.says === 'guards') return [];
  if (lockTest.says === 'not-known')
    return [
      found(
        facts,
        'lock-test-unknown',
        'risks',
        `Whether the locks of pool ${pool.id} guard between hosts could not be tested: ${lockTest.detail}`,
        'cure the cause named, then vmedic readiness',
      ),
    ];
  return [
    found(
      facts,
      'lock-test-broken',
      'risks',
      `Pool ${pool.id} does not guard its images: while ${lockTest.holder} held a lock as QEMU does, ${lockTest.asker} was told that the file is free (${lockTest.detail})`,
      'nothing but fencing keeps a second writer off; update the NFS server (a kernel whose NLM lock test is right) or mount NFSv4',
    ),
  ];
}

export const mountOf = ({ pool }: Pick<PoolFacts, 'pool'>, { survey }: HostFacts): MountFact | undefined =>
  survey.kind === 'read' ? survey.value.mounts.find((m) => m.poolId === pool.id) : undefined;

function mountFindings(facts: PoolFacts, host: HostFacts): Finding[] {
  const mount = mountOf(facts, host);
  const { pool } = facts;
  const { id } = host.host;
  if (mount === undefined) return [];
  const risk = (check: ReadinessCheck, sentence: string, next: string): Finding =>
    found(facts, check, 'risks', sentence, next);
  if (mount.kind === 'none' || (mount.kind === 'folder' && pool.type === 'nfs'))
    return [
      risk(
        'mount-missing',
        `Pool ${pool.id} is not mounted at ${mount.path} on ${id}, so its VMs cannot come back there`,
        `mount it on ${id}, and see that it is mounted at boot`,
      ),
    ];
  if (!/^nfs4?$/.test(mount.fileSystem)) return [];
  return nfsFindings(mount, id, host.survey.kind === 'read' && host.survey.value.statd, risk);
}

function nfsFindings(
  { options, path, fstabOptions }: MountFact,
  id: HostId,
  statd: boolean,
  risk: (check: ReadinessCheck, sentence: string, next: string) => Finding,
): Finding[] {
  const findings: Finding[] = [];
  const has = (option: string): boolean => options.includes(option);
  const on = `${path} on ${id}`;
  const local = options.find((o) => /^local_lock=(?!none$)/.test(o));
  if (has('nolock'))
    findings.push(
      risk(
        'mount-nolock',
        `${on} is mounted with nolock: its QEMU locks are seen by no other host, so nothing stops a second writer`,
        `remount ${path} without nolock on ${id}`,
      ),
    );
  else if (local !== undefined)
    findings.push(
      risk(
        'mount-local-lock',
        `${on} is mounted with ${local}: locks stay on that host, so nothing stops a second writer`,
        `remount ${path} with local_lock=none on ${id}`,
      ),
    );
  if (has('soft') || has('softerr'))
    findings.push(
      risk(
        'mount-soft',
        `${on} is mounted ${has('soft') ? 'soft' : 'softerr'}: a short outage of the server becomes write errors in its guests`,
        `remount ${path} with hard on ${id}`,
      ),
    );
  if (fstabOptions !== undefined && !fstabOptions.includes('_netdev'))
    findings.push(
      risk(
        'mount-no-netdev',
        `${on} stands in fstab without _netdev: at boot it may be tried before there is a network`,
        `add _netdev to ${path} in /etc/fstab on ${id}`,
      ),
    );
  const v3 = options.some((o) => /^(nfs)?vers=3/.test(o));
  if (v3 && !statd && !has('nolock'))
    findings.push(
      risk(
        'mount-no-statd',
        `${on} is NFSv3 and rpc.statd does not run there: its locks can neither be taken back by the server nor released after its failure`,
        `start rpc.statd on ${id}: systemctl enable --now rpc-statd`,
      ),
    );
  return findings;
}

/** The pool's volume group is the last part of its path: `/dev/vmvg`. */
export const volumeGroupName = (path: string | undefined): string => path?.split('/').at(-1) ?? '';

export function groupsNamed(facts: Pick<PoolFacts, 'pool'>, { survey }: HostFacts): VolumeGroupFact[] {
  if (survey.kind === 'not-read' || survey.value.lvm?.kind !== 'read') return [];
  return survey.value.lvm.value.filter((g) => g.name === volumeGroupName(facts.pool.path));
}

function lvmFindings(facts: PoolFacts, host: HostFacts, shared: boolean): Finding[] {
  if (host.survey.kind === 'not-read') return [];
  const { lvm } = host.survey.value;
  const { id } = host.host;
  const name = volumeGroupName(facts.pool.path);
  const risk = (check: ReadinessCheck, sentence: string, next: string): Finding =>
    found(facts, check, 'risks', sentence, next);
  if (lvm?.kind !== 'read')
    return [
      risk(
        'lvm-unread',
        `LVM on ${id} could not be read: ${lvm?.detail ?? 'it was not asked'}`,
        `run vgs on ${id}`,
      ),
    ];
  const groups = groupsNamed(facts, host);
  const [group] = groups;
  if (group === undefined)
    return [
      risk(
        'lvm-not-seen',
        `${id} sees no volume group ${name}, so the VMs of pool ${facts.pool.id} cannot come back there`,
        `check its disks, multipath and LVM's devices file on ${id}: vgs, lvmdevices`,
      ),
    ];
  if (groups.length > 1)
    return [
      risk(
        'lvm-duplicate-name',
        `${id} sees ${groups.length} volume groups called ${name} (${groups.map((g) => g.uuid).join(', ')}): which one holds a disk is a guess, so none is activated`,
        `keep guests' own LVM out of the host (devices file or filter), or rename one: vgrename UUID NEWNAME`,
      ),
    ];
  return [
    ...(group.missingPvs > 0
      ? [
          risk(
            'lvm-missing-pv',
            `${group.missingPvs} physical volumes of ${name} are missing on ${id}: volumes on them are not activated`,
            `find them: pvs -o+pv_missing on ${id}; never vgreduce --removemissing before they are`,
          ),
        ]
      : []),
    ...(shared && !group.clustered && group.autoActivation !== false
      ? [
          risk(
            'lvm-autoactivation',
            `${id} activates every volume of ${name} at boot, those of VMs that run elsewhere too`,
            `vgchange --setautoactivation n ${name}`,
          ),
        ]
      : []),
  ];
}
