/** The watch surveys readiness by itself: what turns up is one alert with its cure, and is over once it is cured. */
import { countOf } from '../../domain/readiness';
import { quickPolicy, type RecoverySystem } from '../support/recovery-system';
import { actsOn, eventually, systems } from '../support/story';

const begin = systems();

const surveyed = { policy: { watch: { ...quickPolicy.watch, readinessEveryMs: 100 } } } as const;
const open = async (system: RecoverySystem): Promise<string[]> =>
  (await system.inventory.alerts({ open: true })).map((a) => a.key);
const cluster = (system: RecoverySystem) => system.spec.clusters[0]!.id;

/** So many more surveys have been stored. */
async function surveys(system: RecoverySystem, count: number): Promise<void> {
  for (let i = 0, last = ''; i <= count; i += 1)
    last = await eventually('another survey', async () => {
      const report = await system.inventory.readiness(cluster(system));
      return report !== undefined && report.at !== last && report.at;
    });
}

it('tells of each finding once, with its cure, and takes it back when it is cured', async () => {
  const system = await begin(surveyed);
  await system.watch();
  await surveys(system, 1);
  const before = await open(system);
  const device = system.spec.devices[0]!;
  system.controls.setDevice(device.id, { mode: 'silent' });
  const key = await eventually('the alert', async () =>
    (await open(system)).find((k) => !before.includes(k) && k.includes('fence-silent')),
  );
  const [alert] = (await system.inventory.alerts()).filter((a) => a.key === key);
  expect(alert).toMatchObject({ severity: 'warning', incidentId: undefined });
  expect(alert?.sentence).toContain(device.id);
  expect(alert?.nextCommand).toContain('vmedic readiness');
  await surveys(system, 3);
  expect((await system.inventory.alerts()).filter((a) => a.key === key)).toHaveLength(1);
  const report = await system.inventory.readiness(cluster(system));
  expect(report === undefined ? 0 : countOf(report, 'would-not')).toBe(system.vmsOf('a').length);
  system.controls.setDevice(device.id, { mode: 'works' });
  await eventually('it is over', async () => !(await open(system)).includes(key));
  expect(await open(system)).toEqual(before);
  expect(actsOn(system)).toEqual([]);
});

it('makes nothing of a host that is down: its incident tells that already', async () => {
  const system = await begin({ ...surveyed, mode: 'approve' });
  await system.watch();
  await surveys(system, 1);
  const before = await open(system);
  system.controls.cutPower(system.host('a'));
  await eventually('its incident', async () =>
    (await system.inventory.incidents({ open: true })).find((i) => i.phase === 'held'),
  );
  const looks = (): number =>
    system.controls.journal().filter((e) => e.kind === 'call' && e.call === 'list').length;
  const now = looks();
  await eventually('some rounds', () => looks() >= now + 30);
  expect((await open(system)).filter((k) => k.startsWith('readiness') && !before.includes(k))).toEqual([]);
});
