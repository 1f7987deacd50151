import type { NotifierPort } from '../../activities/ports';
import { hostId, incidentId } from '../../domain/ids';
import type { AlertRecord } from '../../domain/records';
import { type ContractCase, faultCode, notAborted } from './contract';

export interface NotifierSubject {
  readonly port: NotifierPort;
  readonly world: {
    /** What arrived where people look, in order. */
    delivered(): Promise<readonly Pick<AlertRecord, 'key' | 'sentence' | 'clearedAt'>[]>;
    failSink(): Promise<void>;
  };
}

const alert: AlertRecord = {
  key: 'host-down:hv-a:1',
  severity: 'critical',
  sentence: 'hv-a does not answer and its fence device is silent',
  nextCommand: 'vmedic incident attest-fenced host-hv-a-1',
  incidentId: incidentId({ kind: 'host', hostId: hostId('hv-a') }, 1),
  raisedAt: '2026-01-02T03:04:05.000Z',
  clearedAt: undefined,
};

export const notifierContract: readonly ContractCase<NotifierSubject>[] = [
  {
    name: 'delivers an alert with its key and its sentence',
    async run({ port, world }) {
      await port.deliver(alert, notAborted());
      expect(await world.delivered()).toMatchObject([{ key: alert.key, sentence: alert.sentence }]);
    },
  },
  {
    name: 'tells the end of an alert as an end',
    async run({ port, world }) {
      const clearedAt = '2026-01-02T03:05:00.000Z';
      await port.deliver(alert, notAborted());
      await port.deliver({ ...alert, clearedAt }, notAborted());
      expect((await world.delivered()).map((a) => a.clearedAt ?? undefined)).toEqual([undefined, clearedAt]);
    },
  },
  {
    name: 'says so when an alert could not be delivered',
    needs: 'failing-sink',
    async run({ port, world }) {
      await world.failSink();
      expect(await faultCode(port.deliver(alert, notAborted()))).toBe('ALERT_NOT_DELIVERED');
      expect(await world.delivered()).toEqual([]);
    },
  },
];
