import type { HeartbeatsPort } from '../../activities/ports';
import type { Pool } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import { type ContractCase, eventually, faultCode, notAborted, within } from './contract';

export interface HeartbeatsSubject {
  readonly port: HeartbeatsPort;
  /** Two hosts that have the pool. */
  readonly a: HostId;
  readonly b: HostId;
  readonly pool: Pool;
  readonly patienceMs: number;
  readonly world: {
    powerOff(host: HostId): Promise<void>;
    /** Returns once the host answers again. */
    powerOn(host: HostId): Promise<void>;
  };
}

export const heartbeatsContract: readonly ContractCase<HeartbeatsSubject>[] = [
  {
    name: 'a host that was asked to write is seen to, by another, however often it is asked',
    async run({ port, a, b, pool }) {
      for (let times = 0; times < 3; times += 1) await port.keep(a, pool, notAborted());
      expect(await port.look(b, a, pool, notAborted())).toBe('writes');
      expect(await port.look(b, a, pool, notAborted())).toBe('writes');
    },
  },
  {
    name: 'nothing is known of a host that was never asked, whatever others write',
    async run({ port, a, b, pool }) {
      await port.keep(b, pool, notAborted());
      expect(await port.look(b, a, pool, notAborted())).toBe('not-known');
    },
  },
  {
    name: 'a host without power is never seen to write, and neither is it once it is back and was not asked again',
    async run({ port, a, b, pool, world, patienceMs }) {
      await port.keep(a, pool, notAborted());
      expect(await port.look(b, a, pool, notAborted())).toBe('writes');
      await world.powerOff(a);
      await eventually(patienceMs * 2, async () => (await port.look(b, a, pool, notAborted())) === 'still');
      await world.powerOn(a);
      expect(await port.look(b, a, pool, notAborted())).toBe('still');
      await port.keep(a, pool, notAborted());
      expect(await port.look(b, a, pool, notAborted())).toBe('writes');
    },
  },
  {
    name: 'a host without power sees nothing, which is no fault; asked to write it is one',
    async run({ port, a, b, pool, world, patienceMs }) {
      await port.keep(a, pool, notAborted());
      await world.powerOff(b);
      const look = port.look(b, a, pool, notAborted());
      await within(patienceMs, look);
      expect(await look).toBe('not-known');
      expect(await faultCode(port.keep(b, pool, notAborted()))).toBe('HOST_COMMAND_FAILED');
    },
  },
];
