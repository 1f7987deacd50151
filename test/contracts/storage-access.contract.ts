import type { StorageAccessPort } from '../../activities/ports';
import { type HostId, poolId, type PoolId } from '../../domain/ids';
import { type ContractCase, faultCode, notAborted } from './contract';

export interface StorageAccessSubject {
  readonly port: StorageAccessPort;
  readonly pool: PoolId;
  /** Both are on the pool and may write to it. */
  readonly a: HostId;
  readonly b: HostId;
  readonly world: {
    powerOff(host: HostId): Promise<void>;
    /** Tries to, on the host. */
    canWrite(host: HostId): Promise<boolean>;
    /** All that the server knows about who may do what; equal texts, equal rights. */
    rights(): Promise<string>;
  };
}

export const storageAccessContract: readonly ContractCase<StorageAccessSubject>[] = [
  {
    name: 'finds the access of hosts that may write open',
    async run({ port, pool, a, b, world }) {
      expect(await port.read(pool, a, notAborted())).toBe('open');
      expect(await port.read(pool, b, notAborted())).toBe('open');
      expect([await world.canWrite(a), await world.canWrite(b)]).toEqual([true, true]);
    },
  },
  {
    name: 'cuts exactly that host, which cannot write from then on, and everybody else can',
    async run({ port, pool, a, b, world }) {
      await port.cut(pool, a, notAborted());
      expect(await port.read(pool, a, notAborted())).toBe('cut');
      expect(await world.canWrite(a)).toBe(false);
      expect(await port.read(pool, b, notAborted())).toBe('open');
      expect(await world.canWrite(b)).toBe(true);
    },
  },
  {
    name: 'takes a cut back whole, however often it was made and taken back',
    async run({ port, pool, a, world }) {
      const before = await world.rights();
      await port.cut(pool, a, notAborted());
      expect(await world.rights()).not.toBe(before);
      await port.cut(pool, a, notAborted());
      await port.restore(pool, a, notAborted());
      await port.restore(pool, a, notAborted());
      expect(await port.read(pool, a, notAborted())).toBe('open');
      expect(await world.canWrite(a)).toBe(true);
      expect(await world.rights()).toBe(before);
    },
  },
  {
    name: 'keeps one host cut while another is restored',
    async run({ port, pool, a, b }) {
      await port.cut(pool, a, notAborted());
      await port.cut(pool, b, notAborted());
      await port.restore(pool, b, notAborted());
      expect(await port.read(pool, a, notAborted())).toBe('cut');
      expect(await port.read(pool, b, notAborted())).toBe('open');
    },
  },
  {
    name: 'has nothing to take back where nothing was cut',
    async run({ port, pool, a, world }) {
      const before = await world.rights();
      await port.restore(pool, a, notAborted());
      expect(await world.rights()).toBe(before);
    },
  },
  {
    name: 'has nothing to say of a pool it does not know',
    async run({ port, a }) {
      const other = poolId('no-such-pool');
      expect(await faultCode(port.read(other, a, notAborted()))).toBe('POOL_UNSUPPORTED');
      expect(await faultCode(port.cut(other, a, notAborted()))).toBe('POOL_UNSUPPORTED');
      expect(await faultCode(port.restore(other, a, notAborted()))).toBe('POOL_UNSUPPORTED');
    },
  },
  {
    name: 'cuts a host that is silent: nothing is asked of it',
    async run({ port, pool, a, b, world }) {
      await world.powerOff(a);
      await port.cut(pool, a, notAborted());
      expect(await port.read(pool, a, notAborted())).toBe('cut');
      expect(await world.canWrite(b)).toBe(true);
    },
  },
];
