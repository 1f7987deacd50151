import type { HostCommandsPort } from '../../activities/ports';
import type { HealthCheck, HostAddress } from '../../domain/fleet';
import type { HostId, VmId } from '../../domain/ids';
import type { VmDisk, VmShape } from '../../domain/records';
import { codeOf, type ContractCase, eventually, faultCode, notAborted, within } from './contract';

export interface HostCommandsSubject {
  readonly port: HostCommandsPort;
  readonly host: HostId;
  readonly patienceMs: number;
  readonly world: {
    powerOff(): Promise<void>;
    /** Returns once the host answers again. */
    powerOn(): Promise<void>;
    freeze(): Promise<void>;
  };
  /** A host that is up, and where something listens on it. */
  readonly neighbour: HostAddress & { readonly hostId: HostId };
  readonly usableDisk: VmDisk;
  readonly missingDisk: VmDisk;
  /** Prints to its console once it is up; `start` and `stop` act by hand. */
  readonly guest: {
    readonly vm: { readonly vmId: VmId; readonly name: string; readonly shape: VmShape };
    readonly consoleCheck: HealthCheck;
    start(): Promise<void>;
    stop(): Promise<void>;
  };
}

export const hostCommandsContract: readonly ContractCase<HostCommandsSubject>[] = [
  {
    name: 'reads the same boot id while the host stays up',
    async run({ port, host }) {
      const first = await port.bootId(host, notAborted());
      expect(first.says === 'answers' && first.bootId).toMatch(/\S/);
      expect(await port.bootId(host, notAborted())).toEqual(first);
    },
  },
  {
    name: 'reads a new boot id after a power cycle',
    async run({ port, host, world }) {
      const first = await port.bootId(host, notAborted());
      await world.powerOff();
      await world.powerOn();
      const second = await port.bootId(host, notAborted());
      expect(second.says).toBe('answers');
      expect(second).not.toEqual(first);
    },
  },
  {
    name: 'a host without power is silent, which is an answer and no fault',
    async run({ port, host, world, patienceMs }) {
      await world.powerOff();
      const call = port.bootId(host, notAborted());
      await within(patienceMs, call);
      expect((await call).says).toBe('silent');
    },
  },
  {
    name: 'a frozen host is silent',
    needs: 'frozen-host',
    async run({ port, host, world, patienceMs }) {
      await world.freeze();
      const call = port.bootId(host, notAborted());
      await within(patienceMs, call);
      expect((await call).says).toBe('silent');
    },
  },
  {
    name: 'a look whose caller gave up ends soon, as silence',
    needs: 'frozen-host',
    async run({ port, host, world }) {
      await world.freeze();
      const call = port.bootId(host, AbortSignal.timeout(50));
      await within(3_000, call);
      expect((await call).says).toBe('silent');
    },
  },
  {
    name: 'says that another host is reached whose kernel answers on the port',
    needs: 'neighbours-view',
    async run({ port, host, neighbour }) {
      expect(await port.reaches(host, neighbour, notAborted())).toBe('answers');
    },
  },
  {
    name: 'a host without power cannot say whom it reaches, which is no fault',
    async run({ port, host, world, neighbour, patienceMs }) {
      await world.powerOff();
      const call = port.reaches(host, neighbour, notAborted());
      await within(patienceMs, call);
      expect(await call).toBe('not-known');
    },
  },
  {
    name: 'sees which disks can be opened, in the order asked',
    async run({ port, host, usableDisk, missingDisk }) {
      const sights = await port.inspectDisks(host, [missingDisk, usableDisk], notAborted());
      expect(sights).toMatchObject([
        { path: missingDisk.path, seen: 'missing' },
        { path: usableDisk.path, seen: 'usable' },
      ]);
    },
  },
  {
    name: 'never says of a disk on a host without power that it is missing or usable',
    async run({ port, host, world, usableDisk }) {
      await world.powerOff();
      expect(await faultCode(port.inspectDisks(host, [usableDisk], notAborted()))).toBe(
        'HOST_COMMAND_FAILED',
      );
    },
  },
  {
    name: 'keeps the mark of the VMedic that came first while it is renewed, and gives the host to the next one after that',
    needs: 'host-mark',
    async run({ port, host }) {
      const [first, second] = ['first', 'second'].map((id) => ({ id, name: `the ${id}, config a.yaml` }));
      const claim = (owner = first, silentMsMax = 60_000) =>
        port.claim(host, owner!, silentMsMax, notAborted());
      expect(await claim()).toEqual({ says: 'ours' });
      expect(await claim(second)).toMatchObject({ says: 'theirs', owner: first });
      expect(await claim()).toEqual({ says: 'ours' });
      await eventually(10_000, async () => (await claim(second, 1_000)).says === 'ours');
      expect(await claim()).toMatchObject({ says: 'theirs', owner: second });
    },
  },
  {
    name: 'gives a host to one of two that claim it at once, and tells the other whose it is',
    needs: 'host-mark',
    async run({ port, host }) {
      const gone = { id: 'gone', name: 'gone' };
      await eventually(
        10_000,
        async () => (await port.claim(host, gone, 1_000, notAborted())).says === 'ours',
      );
      const owners = ['third', 'fourth'].map((id) => ({ id, name: id }));
      await eventually(10_000, async () => {
        const both = await Promise.all(owners.map((o) => port.claim(host, o, 1_000, notAborted())));
        const said = both.map((c) => c.says).sort();
        expect([
          ['ours', 'theirs'],
          ['theirs', 'theirs'],
        ]).toContainEqual(said);
        return said[0] === 'ours';
      });
    },
  },
  {
    name: 'does not know whose a host without power is',
    async run({ port, host, world }) {
      await world.powerOff();
      const owner = { id: 'first', name: 'first' };
      expect(await port.claim(host, owner, 60_000, notAborted())).toMatchObject({ says: 'not-known' });
    },
  },
  {
    name: 'finds a guest healthy by what it printed since the mark',
    needs: 'console-output',
    async run({ port, host, guest }) {
      const mark = await port.markHealth(host, guest.vm.shape, notAborted());
      await guest.start();
      await eventually(15_000, () => port.isHealthy(host, guest.vm, guest.consoleCheck, mark, notAborted()));
      expect(await port.isHealthy(host, guest.vm, guest.consoleCheck, mark, notAborted())).toBe(true);
    },
  },
  {
    name: 'never takes what a guest printed before the mark for a sign of life',
    needs: 'console-output',
    async run({ port, host, guest }) {
      const first = await port.markHealth(host, guest.vm.shape, notAborted());
      await guest.start();
      await eventually(15_000, () => port.isHealthy(host, guest.vm, guest.consoleCheck, first, notAborted()));
      await guest.stop();
      const mark = await port.markHealth(host, guest.vm.shape, notAborted());
      expect(mark.consoleBytes).toBeGreaterThan(first.consoleBytes);
      expect(await port.isHealthy(host, guest.vm, guest.consoleCheck, mark, notAborted())).toBe(false);
    },
  },
  {
    name: 'never finds a guest healthy on a host without power',
    async run({ port, host, world, guest }) {
      const mark = await port.markHealth(host, guest.vm.shape, notAborted());
      await guest.start();
      await world.powerOff();
      const said = await port
        .isHealthy(host, guest.vm, guest.consoleCheck, mark, notAborted())
        .catch((error: unknown) => codeOf(error));
      expect([false, 'HOST_COMMAND_FAILED']).toContain(said);
    },
  },
];
