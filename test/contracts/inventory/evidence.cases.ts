import { evidenceId, fenceDeviceId, hostId } from '../../../domain/ids';
import { at, attestedOff, bmc, hvA, hvB, incident, type InventoryCase, observedOff } from './samples';

const alert = {
  key: 'host-hv-a-blocked-unfenced',
  severity: 'critical' as const,
  sentence: 'hv-a cannot be fenced',
  nextCommand: 'vmedic incident attest-fenced',
  incidentId: incident,
  raisedAt: at(1),
};

export const evidenceCases: readonly InventoryCase[] = [
  {
    name: 'evidence is read back whole, and the newest that has not lapsed counts for its host',
    async run({ inventory }) {
      await inventory.storeEvidence(observedOff(1, 10));
      await inventory.storeEvidence(attestedOff(2, 20));
      expect(await inventory.evidence(evidenceId(incident, 1))).toEqual({
        evidence: observedOff(1, 10),
        lapsedAt: undefined,
      });
      expect(await inventory.evidenceFor(hvA)).toEqual(attestedOff(2, 20));
      expect(await inventory.evidenceFor(hvB)).toBeUndefined();
      expect(await inventory.evidence(evidenceId(incident, 9))).toBeUndefined();
    },
  },
  {
    name: 'a host that answers lapses what proved it off before, an attestation too, and nothing that was read later',
    async run({ inventory }) {
      await inventory.storeEvidence(observedOff(1, 10));
      await inventory.storeEvidence(attestedOff(2, 20));
      await inventory.storeEvidence(observedOff(3, 30));
      await inventory.lapseEvidence(hvA, at(20));
      expect(await inventory.evidenceFor(hvA)).toEqual(observedOff(3, 30));
      await inventory.lapseEvidence(hvA, at(31));
      await inventory.lapseEvidence(hvA, at(40));
      expect(await inventory.evidenceFor(hvA)).toBeUndefined();
      expect((await inventory.evidence(evidenceId(incident, 2)))?.lapsedAt).toBe(at(20));
      expect((await inventory.evidence(evidenceId(incident, 3)))?.lapsedAt).toBe(at(31));
    },
  },
  {
    name: 'a repeated report of lapsed evidence does not bring it back; a later reading is a proof of its own',
    async run({ inventory }) {
      await inventory.storeEvidence(observedOff(1, 10));
      await inventory.lapseEvidence(hvA, at(15));
      await inventory.storeEvidence(observedOff(1, 10));
      expect(await inventory.evidenceFor(hvA)).toBeUndefined();
      await inventory.storeEvidence(observedOff(1, 30));
      expect(await inventory.evidenceFor(hvA)).toEqual(observedOff(1, 30));
    },
  },
  {
    name: 'lapsing a host leaves the evidence of others alone',
    async run({ inventory }) {
      await inventory.storeEvidence(observedOff(1, 10));
      await inventory.lapseEvidence(hostId('hv-b'), at(99));
      expect(await inventory.evidenceFor(hvA)).toEqual(observedOff(1, 10));
    },
  },
];

export const fenceDeviceCases: readonly InventoryCase[] = [
  {
    name: 'a device that was never heard of has refused nobody',
    async run({ inventory }) {
      expect(await inventory.deviceHealth(bmc)).toEqual({
        deviceId: bmc,
        loginRefusals: 0,
        lastRefusedAt: undefined,
        lastAnswerAt: undefined,
      });
    },
  },
  {
    name: 'each refused login counts once, however often and in whatever order it is reported',
    async run({ inventory, other }) {
      await Promise.all(
        [2, 1, 2, 1].map((s, i) => (i % 2 ? inventory : other).noteDeviceAnswer(bmc, 'login-refused', at(s))),
      );
      expect(await inventory.deviceHealth(bmc)).toMatchObject({ loginRefusals: 2, lastRefusedAt: at(2) });
      expect((await inventory.deviceHealth(fenceDeviceId('bmc-b'))).loginRefusals).toBe(0);
    },
  },
  {
    name: 'a login that is taken clears earlier refusals, also when their report comes late',
    async run({ inventory }) {
      await inventory.noteDeviceAnswer(bmc, 'login-refused', at(1));
      await inventory.noteDeviceAnswer(bmc, 'answered', at(3));
      await inventory.noteDeviceAnswer(bmc, 'login-refused', at(2));
      expect(await inventory.deviceHealth(bmc)).toMatchObject({ loginRefusals: 0, lastAnswerAt: at(3) });
      await inventory.noteDeviceAnswer(bmc, 'login-refused', at(4));
      expect(await inventory.deviceHealth(bmc)).toMatchObject({ loginRefusals: 1, lastRefusedAt: at(4) });
      await inventory.noteDeviceAnswer(bmc, 'answered', at(5));
      expect(await inventory.deviceHealth(bmc)).toMatchObject({ loginRefusals: 0, lastAnswerAt: at(5) });
    },
  },
  {
    name: 'a device that answers all the time is written every few seconds at most',
    async run({ inventory }) {
      for (const s of [0, 1, 4]) await inventory.noteDeviceAnswer(bmc, 'answered', at(s));
      expect((await inventory.deviceHealth(bmc)).lastAnswerAt).toBe(at(0));
      await inventory.noteDeviceAnswer(bmc, 'answered', at(5));
      expect((await inventory.deviceHealth(bmc)).lastAnswerAt).toBe(at(5));
    },
  },
  {
    name: "a person's word that the password is right gives the budget back, and to no other device",
    async run({ inventory }) {
      const second = fenceDeviceId('bmc-b');
      for (const device of [bmc, second]) await inventory.noteDeviceAnswer(device, 'login-refused', at(1));
      await inventory.forgetLoginRefusals([bmc]);
      await inventory.forgetLoginRefusals([]);
      expect(await inventory.deviceHealth(bmc)).toMatchObject({ loginRefusals: 0, lastRefusedAt: at(1) });
      expect((await inventory.deviceHealth(second)).loginRefusals).toBe(1);
    },
  },
];

export const alertCases: readonly InventoryCase[] = [
  {
    name: 'of many that raise one alert at once exactly one has raised it',
    async run({ inventory, other }) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 === 0 ? inventory : other).raiseAlert({ ...alert, raisedAt: at(i) }),
        ),
      );
      expect(answers.filter((a) => a === 'raised')).toHaveLength(1);
      expect(await inventory.alerts({ open: true })).toHaveLength(1);
    },
  },
  {
    name: 'an alert is cleared once, and a late repeat of its raise does not bring it back',
    async run({ inventory }) {
      expect(await inventory.raiseAlert(alert)).toBe('raised');
      expect(await inventory.clearAlert(alert.key, at(5))).toBe('cleared');
      expect(await inventory.clearAlert(alert.key, at(6))).toBe('not-raised');
      expect(await inventory.raiseAlert(alert)).toBe('already');
      expect(await inventory.alerts()).toEqual([{ ...alert, clearedAt: at(5) }]);
    },
  },
  {
    name: 'an alert raised anew is a new one; the newest is read first',
    async run({ inventory }) {
      await inventory.raiseAlert(alert);
      await inventory.clearAlert(alert.key, at(5));
      const bare = { ...alert, nextCommand: undefined, incidentId: undefined, raisedAt: at(8) };
      expect(await inventory.raiseAlert(bare)).toBe('raised');
      expect(await inventory.alerts()).toEqual([
        { ...bare, clearedAt: undefined },
        { ...alert, clearedAt: at(5) },
      ]);
      expect((await inventory.alerts({ open: false })).map((a) => a.raisedAt)).toEqual([at(1)]);
      expect(await inventory.clearAlert('never-raised', at(9))).toBe('not-raised');
    },
  },
];
