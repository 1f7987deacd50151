/**
 * Would each VM come back now? Theory of operation: every host is taken for dead once, and its protected VMs are placed on the others by the
 * very function that a recovery places them with, hosts left out on which a disk cannot be opened. Then everything else that would stop it is
 * added: no way to prove the host off, no definition, no way to release the locks.
 *
 * INVARIANT: what could not be read is never taken for good: it is a finding of its own.
 */
import type { HostId } from '../ids';
import { candidate, type Candidate, placement } from '../placement';
import type { VmDisk, VmRecord } from '../records';
import type { HostFacts, PoolFacts, ReadinessFacts, VmFacts } from './facts';
import { hostFindings, unfitTarget } from './host-checks';
import type { Finding, ReadinessReport, Unread, VmReadiness } from './report';
import { groupsNamed, mountOf, poolFindings } from './storage-checks';
import { vmFindings } from './vm-checks';

export function assessReadiness(facts: ReadinessFacts): ReadinessReport {
  const ofHosts = new Map(facts.hosts.map((h) => [h.host.id, hostFindings(h)]));
  const ofPools = new Map(facts.pools.map((p) => [p.pool.id, poolFindings(p, facts.hosts)]));
  const ofVms = facts.vms.map((v) => [
    ...vmFindings(v, facts.hosts),
    ...imageFindings(facts, v),
    ...activeElsewhere(facts, v),
  ]);
  const places = new Map(facts.hosts.flatMap((h) => [...placesWithout(facts, h.host.id)]));
  const vms = facts.vms.map((vm, i): VmReadiness => {
    const { record } = vm;
    const { vmId, name, hostId } = record;
    const place = places.get(vmId);
    const pools = record.shape.disks.flatMap((d) => (d.poolId === undefined ? [] : [d.poolId]));
    const around = [
      ...(ofVms[i] ?? []),
      ...(place?.finding === undefined ? [] : [place.finding]),
      ...(ofHosts.get(hostId) ?? []),
      ...[...new Set(pools)].flatMap((p) => ofPools.get(p) ?? []),
    ];
    const because = around.filter((f) => f.severity === 'blocks');
    const risks = around.filter((f) => f.severity === 'risks');
    const verdict = verdictOf(record, because);
    return { vmId, name, hostId, verdict, target: place?.target, because, risks };
  });
  const findings = [
    ...[...ofHosts.values()].flat(),
    ...[...ofPools.values()].flat(),
    ...ofVms.flatMap((own, i) => (isExpectedBack(facts.vms[i]) ? own : [])),
    ...[...places.values()].flatMap((p) => (p.finding === undefined ? [] : [p.finding])),
  ];
  const unread = unreadIn(facts);
  return {
    clusterId: facts.cluster.id,
    at: facts.at,
    vms,
    findings,
    ...(unread !== undefined && { unread }),
  };
}

function unreadIn({ hosts }: ReadinessFacts): Unread | undefined {
  const unread = hosts.filter((h) => [h.list, h.survey, h.images].some((r) => r.kind === 'not-read'));
  if (unread.length === 0) return undefined;
  const pools = [...new Set(unread.flatMap((h) => h.host.pools))];
  return { hosts: unread.map((h) => h.host.id), pools };
}

const isExpectedBack = (vm: VmFacts | undefined): boolean =>
  vm !== undefined && vm.record.protected && vm.record.desired === 'running';

function verdictOf(vm: VmRecord, because: readonly Finding[]): VmReadiness['verdict'] {
  if (!vm.protected) return 'unprotected';
  if (vm.desired === 'stopped') return 'stopped';
  return because.length > 0 ? 'would-not' : 'comes-back';
}

interface Place {
  readonly target: HostId | undefined;
  readonly finding: Finding | undefined;
}

/** Where the VMs of one host would go if it alone failed now, in the order in which they would be started. */
function placesWithout(facts: ReadinessFacts, failed: HostId): Map<VmRecord['vmId'], Place> {
  const all = facts.vms.map((v) => v.record);
  const lost = all
    .filter((v) => v.hostId === failed && v.protected && v.desired === 'running')
    .sort((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1));
  const others = facts.hosts.filter((h) => h.host.id !== failed);
  const unfit = others.flatMap((h) => {
    const why = unfitTarget(h);
    return why === undefined ? [] : [`${h.host.id} ${why}`];
  });
  const able = others.filter((h) => unfitTarget(h) === undefined);
  const hosts = able.map((h) => candidateOf(facts, h, all));
  const home = facts.hosts.find((h) => h.host.id === failed);
  const closed = lost.map((vm) => closedHosts(facts, vm, able, home));
  const placed = placement(
    lost.map((vm, i) => ({
      vmId: vm.vmId,
      memoryMiB: vm.shape.memoryMiB,
      vcpus: vm.shape.vcpus,
      pools: [...new Set(vm.shape.disks.flatMap((d) => (d.poolId === undefined ? [] : [d.poolId])))],
      networks: vm.shape.networks,
      antiAffinity: vm.antiAffinity,
      avoid: [...(closed[i]?.keys() ?? [])],
    })),
    hosts,
  );
  return new Map(
    lost.map((vm, i): [VmRecord['vmId'], Place] => {
      const place = placed[i];
      if (place?.target !== undefined) return [vm.vmId, { target: place.target, finding: undefined }];
      const reasons = [...explained(place?.why ?? '', closed[i] ?? new Map<HostId, string>()), ...unfit];
      return [vm.vmId, { target: undefined, finding: noTarget(vm, failed, reasons) }];
    }),
  );
}

/** Placement knows only that a host is to be avoided; here it is known why. */
function explained(why: string, closed: ReadonlyMap<HostId, string>): string[] {
  const said = why.split('; ').filter((w) => w !== '' && w !== 'no host is in service');
  return said.map((sentence) => {
    const [host] = sentence.split(' ');
    const reason = [...closed].find(([id]) => id === host)?.[1];
    return sentence.endsWith('was already tried') && reason !== undefined ? `${host} ${reason}` : sentence;
  });
}

function noTarget(vm: VmRecord, failed: HostId, reasons: readonly string[]): Finding {
  return {
    check: 'no-target',
    severity: 'blocks',
    about: { kind: 'vm', id: vm.vmId, name: vm.name },
    sentence: `If ${failed} failed, no host could take ${vm.name}: ${reasons.join('; ') || 'there is no other host'}`,
    next: 'free or add capacity, or cure what keeps those hosts from taking it',
  };
}

function candidateOf(facts: ReadinessFacts, { host }: HostFacts, all: readonly VmRecord[]): Candidate {
  const here = all.filter((v) => v.hostId === host.id && v.desired === 'running');
  return candidate(
    host,
    facts.cluster.policy.headroomPercent,
    here.map((v) => ({ ...v.shape, antiAffinity: v.antiAffinity })),
  );
}

/** Hosts on which a disk of the VM could not be opened, each with the reason. */
function closedHosts(
  facts: ReadinessFacts,
  vm: VmRecord,
  hosts: readonly HostFacts[],
  home: HostFacts | undefined,
): Map<HostId, string> {
  const closed = new Map<HostId, string>();
  for (const host of hosts)
    for (const disk of vm.shape.disks) {
      const why = obstacle(facts, disk, host, home);
      if (why !== undefined && !closed.has(host.host.id)) closed.set(host.host.id, why);
    }
  return closed;
}

function obstacle(
  facts: ReadinessFacts,
  disk: VmDisk,
  host: HostFacts,
  home: HostFacts | undefined,
): string | undefined {
  const pool = facts.pools.find((p) => p.pool.id === disk.poolId);
  if (pool === undefined || !host.host.pools.includes(pool.pool.id)) return undefined;
  if (pool.pool.type === 'lvm') return volumeObstacle(pool, disk, host, home);
  const unguarded = mountedUnguarded(pool, host);
  if (unguarded !== undefined)
    return `has ${pool.pool.path ?? pool.pool.id} mounted with ${unguarded}, where nothing is started`;
  const lacking = lacksCommand(pool, host);
  if (lacking !== undefined) return `has no ${lacking}`;
  if (host.images.kind === 'not-read') return `could not look at ${disk.path}: ${host.images.detail}`;
  const sight = host.images.value.find((s) => s.path === disk.path);
  if (sight === undefined) return `did not say whether it can open ${disk.path}`;
  return sight.seen === 'usable' ? undefined : `cannot open ${disk.path}: ${sight.seen} (${sight.detail})`;
}

/** Each look at an image on NFS before a start calls them. */
function lacksCommand(pool: PoolFacts, { survey }: HostFacts): string | undefined {
  if (!pool.pool.lockStrategy.startsWith('nfs') || survey.kind === 'not-read') return undefined;
  const needed = ['findmnt', 'flock'];
  return survey.value.commands.find((c) => c.version === undefined && needed.includes(c.name))?.name;
}

/** As the look before a start: a mount whose locks stay on its host keeps no second writer out. */
function mountedUnguarded(pool: PoolFacts, host: HostFacts): string | undefined {
  if (!pool.pool.lockStrategy.startsWith('nfs')) return undefined;
  return mountOf(pool, host)?.options.find((o) => /^(nolock|local_lock=(all|flock|posix))$/.test(o));
}

/** A volume is inactive wherever its VM does not run, so what counts is that the host knows it, in the same group. */
function volumeObstacle(
  pool: PoolFacts,
  disk: VmDisk,
  host: HostFacts,
  home: HostFacts | undefined,
): string | undefined {
  const [group, another] = groupsNamed(pool, host);
  if (group === undefined) return `does not see the volume group of ${disk.path}`;
  if (another !== undefined) return `sees two volume groups called ${group.name}`;
  const [mine] = home === undefined ? [] : groupsNamed(pool, home);
  if (mine !== undefined && mine.uuid !== group.uuid)
    return `has another volume group of that name (${group.uuid})`;
  if (group.missingPvs > 0) return `misses ${group.missingPvs} physical volumes of ${group.name}`;
  return group.volumes.some((v) => v.path === disk.path) ? undefined : `does not see ${disk.path}`;
}

/** Images that some host of their pool cannot open: fewer places to go to, even while others remain. */
function imageFindings(facts: ReadinessFacts, { record }: VmFacts): Finding[] {
  return facts.hosts.flatMap((host) => {
    if (host.host.id === record.hostId || host.images.kind === 'not-read') return [];
    const bad = host.images.value.filter(
      (s) => s.seen !== 'usable' && record.shape.disks.some((d) => d.path === s.path),
    );
    return bad.map((s): Finding => ({
      check: 'image-unreadable',
      severity: 'risks',
      about: { kind: 'vm', id: record.vmId, name: record.name },
      sentence: `${host.host.id} cannot open ${s.path} of ${record.name}: ${s.seen} (${s.detail})`,
      next: `see to the pool on ${host.host.id}: mount, rights, path`,
    }));
  });
}

/** A volume that is active on a second host is not started: nothing but that tells whether somebody uses it there. */
function activeElsewhere(facts: ReadinessFacts, { record }: VmFacts): Finding[] {
  return facts.hosts.flatMap((host) => {
    if (host.host.id === record.hostId) return [];
    const groups = facts.pools.flatMap((p) => (p.pool.type === 'lvm' ? groupsNamed(p, host) : []));
    const active = groups.flatMap((g) => g.volumes.filter((v) => v.active).map((v) => v.path));
    return record.shape.disks
      .filter((d) => active.includes(d.path))
      .map((d): Finding => ({
        check: 'lvm-active-elsewhere',
        severity: 'blocks',
        about: { kind: 'vm', id: record.vmId, name: record.name },
        sentence: `${d.path} of ${record.name} is active on ${host.host.id} too: it would not be started anywhere`,
        next: `lvchange -an ${d.path} on ${host.host.id}, and vgchange --setautoactivation n for its group`,
      }));
  });
}
