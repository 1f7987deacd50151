import type { SurveyPort } from '../../activities/ports';
import type { Pool } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import { type ContractCase, faultCode, notAborted } from './contract';

export interface SurveySubject {
  readonly port: SurveyPort;
  readonly a: HostId;
  readonly b: HostId;
  /** A pool that both have, whose locks guard. */
  readonly pool: Pool;
  readonly world: {
    powerOff(host: HostId): Promise<void>;
    /** Another HA manager begins to run on the host, and ends. */
    setRival(host: HostId, alive: boolean): Promise<void>;
    setLockless(lockless: boolean): Promise<void>;
    /** What the lock test has left in the pool. */
    leftovers(): Promise<readonly string[]>;
  };
}

export const surveyContract: readonly ContractCase<SurveySubject>[] = [
  {
    name: 'looks into a host: the commands that are called there, each with its version, and how its pool is mounted',
    async run({ port, a, pool }) {
      const seen = await port.survey(a, [pool], notAborted());
      for (const name of ['virsh', 'qemu', 'qemu-img', 'qemu-io', 'findmnt', 'flock'])
        expect(`${name} ${seen.commands.find((c) => c.name === name)?.version ?? 'missing'}`).toMatch(
          / \d+\.\d+/,
        );
      expect(seen.mounts).toMatchObject([{ poolId: pool.id, path: pool.path }]);
      expect(seen.mounts[0]?.kind).not.toBe('none');
      expect(seen.rivals).toEqual([]);
    },
  },
  {
    name: 'names another HA manager while it runs, and not before or afterwards',
    async run({ port, a, b, pool, world }) {
      const rivals = async (host: HostId) => (await port.survey(host, [pool], notAborted())).rivals;
      expect(await rivals(a)).toEqual([]);
      await world.setRival(a, true);
      expect(await rivals(a)).toEqual(['Pacemaker']);
      expect(await rivals(b)).toEqual([]);
      await world.setRival(a, false);
      expect(await rivals(a)).toEqual([]);
    },
  },
  {
    name: 'never looks into a host without power',
    async run({ port, a, pool, world }) {
      await world.powerOff(a);
      expect(await faultCode(port.survey(a, [pool], notAborted()))).toBe('HOST_COMMAND_FAILED');
    },
  },
  {
    name: 'finds that locks guard between two hosts, and leaves nothing behind',
    async run({ port, a, b, pool, world }) {
      expect(await port.testLocks(pool, a, b, notAborted())).toMatchObject({
        ...{ says: 'guards', holder: a, asker: b },
      });
      expect(await world.leftovers()).toEqual([]);
    },
  },
  {
    name: 'finds that locks do not guard',
    needs: 'lockless-pool',
    async run({ port, a, b, pool, world }) {
      await world.setLockless(true);
      expect((await port.testLocks(pool, a, b, notAborted())).says).toBe('does-not-guard');
      await world.setLockless(false);
      expect((await port.testLocks(pool, a, b, notAborted())).says).toBe('guards');
    },
  },
  {
    name: 'never says that locks guard when one of the two could not be asked',
    async run({ port, a, b, pool, world }) {
      await world.powerOff(b);
      const said = await port.testLocks(pool, a, b, notAborted()).then(
        (test) => test.says,
        () => 'not-known',
      );
      expect(said).toBe('not-known');
    },
  },
];
