import type { FencingPort } from '../../activities/ports';
import type { FenceDevice } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import { codeOf, type ContractCase, faultCode, notAborted, within } from './contract';

export interface FencingSubject {
  readonly port: FencingPort;
  /** A host that is on, and the device that switches it. */
  readonly host: HostId;
  readonly device: FenceDevice;
  /** The longest that a call to a silent device may take. */
  readonly patienceMs: number;
  readonly world: {
    powerOff(): Promise<void>;
    powerOn(): Promise<void>;
    /** Seen without the port. */
    isOn(): Promise<boolean>;
    silenceDevice(): Promise<void>;
    breakPassword(): Promise<void>;
    /** The device takes "off" and leaves the host on. */
    ignoreOff(): Promise<void>;
  };
}

/** Abort after this; the call must be over soon after, however patient the driver is. */
const abortAfterMs = 100;
const abortedWithinMs = 3_000;

export const fencingContract: readonly ContractCase<FencingSubject>[] = [
  {
    name: 'reads "on" of a host that is on, with who read it and when',
    async run({ port, host, device }) {
      const before = Date.now();
      const reading = await port.status(host, device, notAborted());
      expect(reading).toMatchObject({
        hostId: host,
        deviceId: device.id,
        agent: device.agent,
        power: 'on',
      });
      expect(Date.parse(reading.observedAt)).toBeGreaterThanOrEqual(before);
      expect(Date.parse(reading.observedAt)).toBeLessThanOrEqual(Date.now());
    },
  },
  {
    name: 'reads "off" of a host whose power was cut by others',
    async run({ port, host, device, world }) {
      await world.powerOff();
      expect((await port.status(host, device, notAborted())).power).toBe('off');
    },
  },
  {
    name: 'switches a host off so that the next reading says so and the host really is',
    async run({ port, host, device, world }) {
      await port.off(host, device, notAborted());
      expect((await port.status(host, device, notAborted())).power).toBe('off');
      expect(await world.isOn()).toBe(false);
    },
  },
  {
    name: 'takes "off" for a host that is off already as done, any number of times',
    async run({ port, host, device, world }) {
      await world.powerOff();
      await port.off(host, device, notAborted());
      await port.off(host, device, notAborted());
      expect((await port.status(host, device, notAborted())).power).toBe('off');
    },
  },
  {
    name: 'reads without acting',
    async run({ port, host, device, world }) {
      for (let i = 0; i < 3; i += 1) await port.status(host, device, notAborted());
      expect(await world.isOn()).toBe(true);
    },
  },
  {
    name: 'reads "on" again of a host that came back',
    async run({ port, host, device, world }) {
      await port.off(host, device, notAborted());
      await world.powerOn();
      expect((await port.status(host, device, notAborted())).power).toBe('on');
    },
  },
  {
    name: 'never reads a silent device as anything',
    needs: 'silent-device',
    async run({ port, host, device, world, patienceMs }) {
      await world.silenceDevice();
      const call = port.status(host, device, notAborted());
      await within(patienceMs, call);
      expect(await faultCode(call)).toBe('FENCE_DEVICE_SILENT');
    },
  },
  {
    name: 'never calls "off" to a silent device done',
    needs: 'silent-device',
    async run({ port, host, device, world, patienceMs }) {
      await world.silenceDevice();
      const call = port.off(host, device, notAborted());
      await within(patienceMs, call);
      expect(['FENCE_DEVICE_SILENT', 'FENCE_OUTCOME_UNKNOWN']).toContain(await faultCode(call));
    },
  },
  {
    name: 'tells a refused login from a silent device',
    needs: 'wrong-password',
    async run({ port, host, device, world }) {
      await world.breakPassword();
      expect(await faultCode(port.status(host, device, notAborted()))).toBe('FENCE_LOGIN_REFUSED');
      expect(await faultCode(port.off(host, device, notAborted()))).toBe('FENCE_LOGIN_REFUSED');
      expect(await world.isOn()).toBe(true);
    },
  },
  {
    name: 'reads "on" after a device took "off" and did nothing',
    needs: 'device-that-ignores-off',
    async run({ port, host, device, world }) {
      await world.ignoreOff();
      const said = await port.off(host, device, notAborted()).then(
        () => 'done',
        (error: unknown) => codeOf(error),
      );
      expect(['done', 'FENCE_OFF_NOT_TAKEN', 'FENCE_OUTCOME_UNKNOWN']).toContain(said);
      expect((await port.status(host, device, notAborted())).power).toBe('on');
    },
  },
  {
    name: 'ends a reading soon after its caller gave up',
    needs: 'silent-device',
    async run({ port, host, device, world }) {
      await world.silenceDevice();
      const call = port.status(host, device, AbortSignal.timeout(abortAfterMs));
      await within(abortedWithinMs, call);
      expect(await faultCode(call)).toBe('FENCE_DEVICE_SILENT');
    },
  },
  {
    name: 'never calls an "off" done whose caller gave up',
    needs: 'silent-device',
    async run({ port, host, device, world }) {
      await world.silenceDevice();
      const call = port.off(host, device, AbortSignal.timeout(abortAfterMs));
      await within(abortedWithinMs, call);
      expect(['FENCE_DEVICE_SILENT', 'FENCE_OUTCOME_UNKNOWN']).toContain(await faultCode(call));
    },
  },
];
