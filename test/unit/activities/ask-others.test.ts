/** Who is asked about a host that is silent: those who can know, until somebody does. */
import { MockActivityEnvironment } from '@temporalio/testing';
import type { Environment } from '../../../activities/environment';
import { signsOf } from '../../../activities/look-at-host';
import type { Host } from '../../../domain/fleet';
import { hostId } from '../../../domain/ids';
import { judgeHost } from '../../../domain/judge-host';
import type { HostSign } from '../../../domain/observations';
import type { HostStanding } from '../../../domain/records';

const letters = ['a', 'b', 'c', 'd'] as const;
const nameOf = (letter: string) => hostId(`hv-${letter}`);
const hosts = letters.map((letter) => ({
  ...{ id: nameOf(letter), fenceLevels: [], pools: ['shared'] },
  management: { address: nameOf(letter), port: 22 },
})) as unknown as Host[];

/** hv-d is silent towards VMedic; hv-a and hv-b stand as given and know nothing; hv-c reaches it, and sees it write. */
function environment(standing: HostStanding) {
  const asked: string[] = [];
  const knows = <T>(via: string, answer: T): Promise<T | 'not-known'> => {
    asked.push(via);
    return Promise.resolve(via === nameOf('c') ? answer : 'not-known');
  };
  const records = hosts.map(({ id }, n) => ({ hostId: id, standing: n < 2 ? standing : 'in-service' }));
  const env = {
    fleet: { clusters: [{ id: 'one', hosts }], pools: [{ id: 'shared', heartbeat: true }] },
    inventory: { hosts: () => Promise.resolve(records) },
    hypervisor: {
      probe: () => Promise.resolve({ source: 'hypervisor', says: 'silent', observedAt: '' }),
    },
    hostCommands: {
      bootId: () => Promise.resolve({ says: 'silent' }),
      reaches: (via: string) => knows(via, 'open'),
    },
    heartbeats: { look: (via: string) => knows(via, 'writes') },
  } as unknown as Environment;
  return { env, asked };
}

const signsOfD = async (env: Environment): Promise<HostSign[]> => {
  let signs: HostSign[] = [];
  await new MockActivityEnvironment().run(async () => {
    signs = await signsOf(env, hosts[3] as Host, true);
  });
  return signs;
};

it.each([
  ['those in service before those that may be off', 'fenced', ['hv-c', 'hv-a']],
  ['the next ones when the first do not know', 'in-service', ['hv-a', 'hv-b', 'hv-c']],
] as const)('asks %s, and fences nobody whom one of them reaches', async (_, standing, expected) => {
  const { env, asked } = environment(standing);
  const signs = await signsOfD(env);
  const neighbours = signs.filter((s) => s.source === 'neighbour');
  expect(neighbours.slice(0, expected.length).map((s) => s.via)).toEqual(expected);
  expect(judgeHost(neighbours.concat(signs.filter((s) => s.source === 'hypervisor') as never))).toMatchObject(
    {
      verdict: 'suspect',
    },
  );
  expect(judgeHost(signs).verdict).toBe('degraded');
  expect(asked).not.toContain('hv-d');
});
