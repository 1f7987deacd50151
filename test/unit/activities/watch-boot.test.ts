import type { RecoveryAnswer } from '../../../activities/ports';
import { whenRebooted } from '../../../activities/watch-boot';
import { WatchedCluster } from '../../../activities/watched-cluster';
import type { Environment } from '../../../activities/environment';
import type { IncidentRecord } from '../../../domain/records';
import { fleet, host, incident, vm } from '../../support/command-line';

const [cluster] = fleet.clusters;
const [hvA] = cluster!.hosts;
const start = Date.parse('2026-01-01T00:00:00.000Z');
let now = start;

beforeEach(() => {
  now = start;
  jest.spyOn(Date, 'now').mockImplementation(() => now);
});
afterEach(() => jest.restoreAllMocks());

/** Rounds a minute and more apart over a host that has rebooted and whose VM is down; answers how often a recovery was asked for by then. */
function watching(incidents: IncidentRecord[], answer: RecoveryAnswer['kind'] = 'under-way') {
  let asked = 0;
  const inventory = {
    vms: () => Promise.resolve([vm('web')]),
    ...{ reservations: () => Promise.resolve([]), hosts: () => Promise.resolve([host('hv-a')]) },
    ...{ fleetClaim: () => Promise.resolve(undefined), switches: () => Promise.resolve([]) },
    incidents: () => Promise.resolve(incidents.slice(0, 1)),
    alerts: () => Promise.resolve([]),
    raiseAlert: () => Promise.resolve('already'),
  };
  const recoverHost = () => {
    asked += 1;
    return Promise.resolve({ kind: answer, sentence: 'it would start web' });
  };
  const recoveries = { recoverHost, restartMissingVm: recoverHost };
  const supervision = { recoveries, owner: undefined } as never;
  const watch = new WatchedCluster({ inventory } as unknown as Environment, cluster!, supervision);
  return async (bootId: string): Promise<number> => {
    now += 61_000;
    const list = { vms: [] } as never;
    await whenRebooted(watch, hvA!, host('hv-a'), list, bootId);
    return asked;
  };
}

const aborted = (closedMs: number) =>
  incident({ outcome: 'aborted', closedAt: new Date(closedMs).toISOString() });

it('asks again while nothing came of it, and not once a person has stopped the recovery of that boot', async () => {
  const incidents: IncidentRecord[] = [];
  const round = watching(incidents);
  expect([await round('boot-2'), await round('boot-2')]).toEqual([1, 2]);
  incidents.unshift(aborted(now + 1_000));
  expect([await round('boot-2'), await round('boot-2')]).toEqual([2, 2]);
  expect(await round('boot-3')).toBe(3);
});

it('takes an abort from before this boot was seen for an answer to something else', async () => {
  const round = watching([aborted(start)], 'rehearsed');
  expect([await round('boot-2'), await round('boot-2')]).toEqual([1, 2]);
});
