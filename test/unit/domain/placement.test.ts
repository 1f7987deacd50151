import fc from 'fast-check';
import { hostId, poolId, vmId } from '../../../domain/ids';
import { blastRadius, type Candidate, placement, type Wanted, waves } from '../../../domain/placement';

const pools = ['p1', 'p2'].map((p) => poolId(p));
const networks = ['lan', 'dmz'];

const anyHosts = fc
  .uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 0, maxLength: 6 })
  .chain((numbers) =>
    fc.tuple(
      ...numbers.map((n) =>
        fc.record<Candidate>({
          hostId: fc.constant(hostId(`h${n}`)),
          free: fc.record({ memoryMiB: fc.nat(64), vcpus: fc.nat(16) }),
          pools: fc.subarray(pools),
          networks: fc.subarray(networks),
          groups: fc.subarray(['g1', 'g2']),
        }),
      ),
    ),
  ) as fc.Arbitrary<Candidate[]>;

const anyVms = fc
  .array(
    fc.record({
      memoryMiB: fc.integer({ min: 1, max: 24 }),
      vcpus: fc.integer({ min: 1, max: 4 }),
      pools: fc.subarray(pools, { maxLength: 1 }),
      networks: fc.subarray(networks, { maxLength: 1 }),
      antiAffinity: fc.constantFrom(undefined, 'g1', 'g2', 'g3'),
    }),
    { maxLength: 12 },
  )
  .map((vms) => vms.map((vm, i): Wanted => ({ ...vm, vmId: vmId(`vm${i}`) })));

interface Given {
  readonly vm: Wanted;
  readonly host: Candidate;
}

function placed(vms: readonly Wanted[], hosts: readonly Candidate[]): Given[] {
  return placement(vms, hosts).flatMap((p, i) => {
    const host = hosts.find((h) => h.hostId === p.target);
    return host === undefined ? [] : [{ vm: vms[i] as Wanted, host }];
  });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((x, y) => x + y, 0);

describe('placement', () => {
  it('never gives a host more than it has free', () => {
    fc.assert(
      fc.property(anyVms, anyHosts, (vms, hosts) => {
        const given = placed(vms, hosts);
        return hosts.every((host) => {
          const there = given.filter((g) => g.host === host).map((g) => g.vm);
          return (
            sum(there.map((v) => v.memoryMiB)) <= host.free.memoryMiB &&
            sum(there.map((v) => v.vcpus)) <= host.free.vcpus
          );
        });
      }),
    );
  });

  it('never puts a VM where its pool or its network is not', () => {
    fc.assert(
      fc.property(anyVms, anyHosts, (vms, hosts) =>
        placed(vms, hosts).every(
          ({ vm, host }) =>
            vm.pools.every((p) => host.pools.includes(p)) &&
            vm.networks.every((n) => host.networks.includes(n)),
        ),
      ),
    );
  });

  it('never lets two VMs of an anti-affinity group share a host', () => {
    fc.assert(
      fc.property(anyVms, anyHosts, (vms, hosts) =>
        hosts.every((host) => {
          const groups = placed(vms, hosts)
            .filter((g) => g.host === host)
            .map((g) => g.vm.antiAffinity)
            .filter((g) => g !== undefined);
          return new Set([...host.groups, ...groups]).size === host.groups.length + groups.length;
        }),
      ),
    );
  });

  it('leaves a VM out only when no host had room for it at its turn, and says why for each host', () => {
    fc.assert(
      fc.property(anyVms, anyHosts, (vms, hosts) =>
        placement(vms, hosts).every((p, i) => {
          if (p.target !== undefined) return true;
          const alone = placement([vms[i] as Wanted], hosts)[0];
          const named = hosts.every((h) => p.why.includes(h.hostId));
          const hadRoom = alone?.target !== undefined;
          const usedUp = placed(vms.slice(0, i), hosts).some((g) => g.host.hostId === alone?.target);
          return p.why !== '' && named && (!hadRoom || usedUp);
        }),
      ),
    );
  });

  it('gives the same plan, word for word, in whatever order the hosts are named', () => {
    const shuffled = anyHosts.chain((hosts) =>
      fc.tuple(
        fc.constant(hosts),
        fc.shuffledSubarray(hosts, { minLength: hosts.length, maxLength: hosts.length }),
      ),
    );
    fc.assert(
      fc.property(anyVms, shuffled, (vms, [hosts, others]) => {
        expect(placement(vms, others)).toEqual(placement(vms, hosts));
      }),
    );
  });

  it('changes nothing of what it was given', () => {
    fc.assert(
      fc.property(anyVms, anyHosts, (vms, hosts) => {
        const before = JSON.stringify([vms, hosts]);
        placement(vms, hosts);
        return JSON.stringify([vms, hosts]) === before;
      }),
    );
  });

  const host = (name: string, memoryMiB: number): Candidate => ({
    ...{ hostId: hostId(name), free: { memoryMiB, vcpus: 8 }, pools, networks, groups: [] },
  });
  const small = (name: string, change: Partial<Wanted> = {}): Wanted => ({
    ...{ vmId: vmId(name), memoryMiB: 4, vcpus: 1, pools: [], networks: [], antiAffinity: undefined },
    ...change,
  });

  it('spreads VMs over the emptiest hosts', () => {
    const targets = placement(
      ['v1', 'v2', 'v3'].map((v) => small(v)),
      [host('h1', 12), host('h2', 10)],
    );
    expect(targets.map((t) => t.target)).toEqual(['h1', 'h2', 'h1']);
  });

  it('leaves out hosts that were tried already', () => {
    const [first] = placement([small('v1', { avoid: [hostId('h1')] })], [host('h1', 12), host('h2', 10)]);
    expect(first?.target).toBe('h2');
  });

  it('says so when no host is in service', () => {
    expect(placement([small('v1')], [])[0]).toMatchObject({
      target: undefined,
      why: 'no host is in service',
    });
  });
});

describe('waves', () => {
  it('come in order of priority, keep the order within, and lose nobody', () => {
    const anyPriorities = fc.array(fc.integer({ min: 1, max: 5 }));
    fc.assert(
      fc.property(anyPriorities, (priorities) => {
        const vms = priorities.map((priority, n) => ({ priority, n }));
        const flat = waves(vms).flat();
        const sorted = [...vms].sort((x, y) => x.priority - y.priority || x.n - y.n);
        expect(flat).toEqual(sorted);
        expect(waves(vms).every((w) => new Set(w.map((v) => v.priority)).size === 1)).toBe(true);
      }),
    );
  });
});

describe('the blast radius', () => {
  it.each([
    [{ hosts: 1, percent: 30 }, 3, 1],
    [{ hosts: 1, percent: 30 }, 7, 2],
    [{ hosts: 1, percent: 30 }, 10, 3],
    [{ hosts: 2, percent: 30 }, 3, 2],
    [{ hosts: 1, percent: 0 }, 100, 1],
  ])('of %j in a cluster of %d is %d hosts', (allowed, size, expected) => {
    expect(blastRadius(allowed, size)).toBe(expected);
  });
});
