/** Who asked for a change on the command line, why, and what became of it. */
import { rmSync } from 'node:fs';
import { DriverFault } from '../../domain/faults';
import type { AlertRecord } from '../../domain/records';
import { exitCodes } from '../../client/cli/exit-codes';
import { busyClient, folder, incident, inventory, now, run, session } from '../support/command-line';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const blind: Omit<AlertRecord, 'raisedAt'> = {
  ...{ key: 'blind:one', severity: 'critical', sentence: 'nobody answers', nextCommand: undefined },
  ...{ incidentId: undefined, clearedAt: undefined },
};

function trail() {
  const rows: { action: string; target: string; who: string; reason: string; answer: string }[] = [];
  const reads = inventory({
    incident: () => Promise.resolve(incident({ closedAt: '2026-01-01T00:00:00.000Z' })),
    alerts: () => Promise.resolve([{ ...blind, raisedAt: now() }]),
    noteAudit: (row) => Promise.resolve(rows.push({ ...row }) - 1),
    noteAuditAnswer(id, answer) {
      rows[id] = { ...rows[id]!, answer };
      return Promise.resolve();
    },
  });
  return { rows, reads };
}

const asked = ['--reason', 'rack 4 is dark', '--by', 'ada'];

it.each([
  [['host', 'recover', 'hv-a'], { action: 'recoverHost', target: 'hv-a', answer: 'busy' }],
  [
    ['host', 'fence', 'hv-a', '--dry-run'],
    { action: 'fenceHost (rehearsal)', target: 'hv-a', answer: 'same' },
  ],
  [['vm', 'restart', 'web'], { action: 'restartVm', target: 'web', answer: 'busy' }],
  [['vm', 'start', 'web'], { action: 'restartVm', target: 'web', answer: 'busy' }],
  [['vm', 'stop', 'web'], { action: 'stopVm', target: 'web', answer: 'refused: BUSY' }],
  [['host', 'recover', 'hv-x'], { action: 'recoverHost', target: 'hv-x', answer: 'refused: UNKNOWN_HOST' }],
  [
    ['token', 'create', 'grafana', '--role', 'viewer'],
    { action: 'token create (viewer)', answer: 'created' },
  ],
  [['token', 'revoke', 'grafana'], { action: 'token revoke', target: 'grafana', answer: 'revoked' }],
  [['alert', 'acknowledge', 'blind:one'], { action: 'acknowledge', target: 'blind:one', answer: 'done' }],
  [
    ['alert', 'acknowledge', 'blind:two'],
    { action: 'acknowledge', target: 'blind:two', answer: 'refused: UNKNOWN_ALERT' },
  ],
  [['incident', 'abort', 'host-hv-a-1'], { action: 'abort', answer: 'refused: INCIDENT_CLOSED' }],
])('%j leaves a row', async (argv, row) => {
  const { rows, reads } = trail();
  await run([...argv, ...asked], { open: session(reads, busyClient('migrateVolume', {})) });
  expect(rows).toMatchObject([{ ...row, who: 'ada', reason: 'rack 4 is dark', via: 'command-line' }]);
});

it('what cannot be written down is not done', async () => {
  const { reads } = trail();
  const createToken = jest.fn();
  const away = {
    ...{ ...reads, createToken },
    noteAudit: () => Promise.reject(new DriverFault('INVENTORY_UNREACHABLE', { detail: 'x' })),
  };
  const ran = await run(['host', 'recover', 'hv-a', ...asked], { open: session(away, busyClient('x', {})) });
  expect(ran.exit).toBe(exitCodes.unreachable);
  const made = await run(['token', 'create', 'grafana', '--role', 'viewer'], { open: session(away) });
  expect([made.exit, createToken.mock.calls]).toEqual([exitCodes.unreachable, []]);
});

it.each([
  ['host', 'list'],
  ['host', 'show', 'hv-a'],
  ['vm', 'list'],
  ['vm', 'show', 'web'],
  ['incident', 'list'],
  ['incident', 'show', 'host-hv-a-1'],
  ['alert', 'list'],
])('%s %s says that VMedic is disarmed, and nothing of it while it is not', async (...argv) => {
  const { reads } = trail();
  const off = { scope: 'fleet', armed: false, by: 'ada', reason: 'storage work', at: now() } as const;
  const say = async (armed: boolean) =>
    (
      await run(argv, {
        open: session({ ...reads, switches: () => Promise.resolve([{ ...off, armed }]) }),
      })
    ).stderr;
  expect(await say(false)).toContain('disarmed: ada has disarmed the whole fleet');
  expect(await say(true)).not.toContain('disarmed');
});
