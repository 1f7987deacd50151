import type { GuestRepairPort } from '../../activities/ports';
import type { MendedFileSystem, RepairOrder } from '../../domain/guest-repair';
import type { HostId } from '../../domain/ids';
import { type ContractCase, faultCode, notAborted, within } from './contract';

/** A VM that is at rest on `a`, with one file system that its own tool can mend. */
export interface GuestRepairSubject {
  readonly port: GuestRepairPort;
  readonly a: HostId;
  /** The same disks; each name another attempt. */
  readonly order: (attempt: string) => RepairOrder;
  readonly patienceMs: number;
  readonly world: {
    start(): Promise<void>;
    /** Whether the file system is damaged still. */
    isDamaged(): Promise<boolean>;
    powerOff(host: HostId): Promise<void>;
  };
}

type Case = ContractCase<GuestRepairSubject>;
/** Beside it there may be what nobody looks into, as swap. */
const foundIn = (all: readonly MendedFileSystem[]): string[] =>
  all.map((f) => f.found).filter((found) => found !== 'left');

export const guestRepairContract: readonly Case[] = [
  {
    name: 'says what it would keep and where, and touches nothing',
    async run({ port, a, order, world }) {
      const said = await port.preflight(a, order('r1'), notAborted());
      expect(said).toMatchObject({
        kind: 'ready',
        kept: [{ kept: expect.stringContaining('r1') as string }],
      });
      expect(await world.isDamaged()).toBe(true);
      expect(await faultCode(port.mend(a, order('r1'), notAborted()))).toBe('REPAIR_FAILED');
    },
  },
  {
    name: 'mends nothing that was not kept before, by this very attempt',
    async run({ port, a, order, world }) {
      await port.keep(a, order('r1'), notAborted());
      expect(await faultCode(port.mend(a, order('r2'), notAborted()))).toBe('REPAIR_FAILED');
      expect(await world.isDamaged()).toBe(true);
    },
  },
  {
    name: 'mends what was kept, and says what it found; asked again it is whole',
    async run({ port, a, order, world }) {
      for (let i = 0; i < 2; i += 1) await port.keep(a, order('r1'), notAborted());
      expect(foundIn(await port.mend(a, order('r1'), notAborted()))).toEqual(['mended']);
      expect(await world.isDamaged()).toBe(false);
      expect(foundIn(await port.mend(a, order('r1'), notAborted()))).toEqual(['whole']);
    },
  },
  {
    name: 'goes back to what was kept, however often it is asked',
    async run({ port, a, order, world }) {
      await port.keep(a, order('r1'), notAborted());
      await port.mend(a, order('r1'), notAborted());
      for (let i = 0; i < 3; i += 1) await port.goBack(a, order('r1'), notAborted());
      expect(await world.isDamaged()).toBe(true);
    },
  },
  {
    name: 'never says that it went back where nothing was kept',
    async run({ port, a, order }) {
      expect(await faultCode(port.goBack(a, order('r1'), notAborted()))).toBe('REPAIR_FAILED');
    },
  },
  {
    name: 'drops what it kept only while nothing was written since',
    async run({ port, a, order, world }) {
      await port.keep(a, order('r1'), notAborted());
      await port.mend(a, order('r1'), notAborted());
      await port.drop(a, order('r1'), notAborted());
      await port.goBack(a, order('r1'), notAborted());
      expect(await world.isDamaged()).toBe(true);
      await port.keep(a, order('r2'), notAborted());
      for (let i = 0; i < 2; i += 1) await port.drop(a, order('r2'), notAborted());
      expect(await faultCode(port.goBack(a, order('r2'), notAborted()))).toBe('REPAIR_FAILED');
    },
  },
  {
    name: 'leaves a disk alone that somebody has open',
    async run({ port, a, order, world }) {
      await port.keep(a, order('r1'), notAborted());
      await world.start();
      const other = order('r3');
      expect(await faultCode(port.keep(a, other, notAborted()))).toBe('REPAIR_FAILED');
      expect(await faultCode(port.goBack(a, order('r1'), notAborted()))).toBe('REPAIR_FAILED');
      expect(await faultCode(port.mend(a, order('r1'), notAborted()))).toBe('REPAIR_FAILED');
    },
  },
  {
    name: 'a host without power is a fault in time, and never an answer',
    needs: 'dead-host',
    async run({ port, a, order, world, patienceMs }) {
      await world.powerOff(a);
      const call = port.keep(a, order('r1'), notAborted());
      await within(patienceMs, call);
      expect(await faultCode(call)).toBe('HOST_COMMAND_FAILED');
    },
  },
];
