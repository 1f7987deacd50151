/** An upgrade in the middle of recoveries, on a real Temporal server: what is in flight ends on the version that it began on. */
import { randomUUID } from 'node:crypto';
import { makeCurrent, makeFirstCurrent, workerVersions } from '../../client/deployments';
import { queuesWithoutWorker } from '../../client/troubles';
import { workflowIds } from '../../domain/ids';
import { waitFor } from '../../lab/wait-for';
import { type SetUp, setUp } from '../../workers/set-up';
import { type Intercept, type RecoverySystem, recoverySystem, workerSet } from '../support/recovery-system';
import { createTestDatabase, temporalAddress } from '../support/servers';

const deploymentName = `upgrade-${randomUUID().slice(0, 8)}`;
const before = { deploymentName, buildId: '1.0.0' };
const after = { deploymentName, buildId: '2.0.0' };

let system: RecoverySystem;
let newer: ReturnType<typeof workerSet> | undefined;
/** Which version's worker ran an activity of which run. */
const ran: { readonly run: string; readonly on: string; readonly activity: string }[] = [];
const noting =
  (on: string): Intercept =>
  async ({ name, workflowId, act }) => {
    ran.push({ run: workflowId, on, activity: name });
    return act();
  };

const session = () => ({ client: system.client, settings: { address: '', namespace: 'default' } });
const versionsOf = (runs: readonly string[]): string[] =>
  [...new Set(ran.filter((r) => runs.includes(r.run)).map((r) => r.on))].sort();

/** `vmedic setup` of the build that the version is of. */
async function setUpWith(version: typeof after): Promise<SetUp> {
  const database = await createTestDatabase();
  try {
    return await setUp(
      { address: temporalAddress(), namespace: 'default' },
      database.url,
      () => undefined,
      version,
    );
  } finally {
    await database.drop();
  }
}

/** The version that the server holds a run to, and the ones that its tasks were done on. */
async function heldTo(workflowId: string): Promise<{ behaviour: unknown; tasks: string[] }> {
  const handle = system.client.workflow.getHandle(workflowId);
  const { raw } = await handle.describe();
  const { events } = await handle.fetchHistory();
  const tasks = (events ?? []).flatMap((e) => {
    const version = e.workflowTaskCompletedEventAttributes?.deploymentVersion?.buildId;
    return version ? [version] : [];
  });
  return { behaviour: raw.workflowExecutionInfo?.versioningInfo?.behavior, tasks: [...new Set(tasks)] };
}

const pinned = 1;
const followsTheCurrent = 2;

beforeAll(async () => {
  system = await recoverySystem({
    ...{ hosts: 4, vmsPerHost: 2, mode: 'observe', version: before, intercept: noting('1.0.0') },
    policy: { blastRadius: { hosts: 3, percent: 100 } },
  });
});
afterAll(async () => {
  await newer?.stop();
  await system.close();
});

it('the first version of an installation becomes current by itself, and no other does', async () => {
  expect(await makeFirstCurrent(session(), before)).toBe(true);
  expect(await workerVersions(session(), deploymentName)).toEqual([{ buildId: '1.0.0', state: 'current' }]);
  expect(await queuesWithoutWorker(session(), system.taskQueue)).toEqual([]);
  expect(await makeFirstCurrent(session(), after)).toBe(false);
});

it('a version without workers is not made current: what begins on it would stand still', async () => {
  await expect(makeCurrent(session(), after, 500)).rejects.toMatchObject({ code: 'VERSION_WITHOUT_WORKERS' });
  expect(await workerVersions(session(), deploymentName)).toEqual([{ buildId: '1.0.0', state: 'current' }]);
});

it('a recovery in flight ends on its own version, its VMs too; the next one begins on the new version', async () => {
  const a = system.host('a');
  const bmc = system.spec.hosts.find((h) => h.id === a)!.fenceLevels[0]!.devices[0]!;
  system.controls.setDevice(bmc, { mode: 'silent' });
  system.controls.freeze(a);
  await system.watch();
  const old = await system.recoverHost('a');
  await waitFor('the recovery to wait for its fence', 20_000, async () => {
    const [incident] = await system.inventory.incidents({ hostId: a });
    return incident?.phase === 'blocked-unfenced';
  });
  newer = workerSet(temporalAddress(), system.taskQueue, system.ports, system.fleet, {
    ...{ version: after, intercept: noting('2.0.0') },
  });
  await newer.start();
  // As whoever upgrades asks for it, and again.
  for (let times = 0; times < 2; times += 1)
    expect((await setUpWith(after)).versions).toEqual(
      expect.arrayContaining([
        { buildId: '2.0.0', state: 'current' },
        { buildId: '1.0.0', state: 'draining' },
      ]),
    );
  expect(await makeCurrent(session(), after)).toBe('current already');

  const b = system.host('b');
  const vmsOfB = system.vmsOf('b').map((vm) => workflowIds.vm(vm));
  system.controls.cutPower(b);
  const next = await system.recoverHost('b');
  expect(await next.result()).toMatchObject({ outcome: 'recovered' });
  system.controls.setDevice(bmc, { mode: 'works' });
  expect(await old.result()).toMatchObject({ outcome: 'recovered' });

  const vmsOfA = system.vmsOf('a').map((vm) => workflowIds.vm(vm));
  for (const run of [workflowIds.host(a), ...vmsOfA])
    expect([run, await heldTo(run)]).toEqual([run, { behaviour: pinned, tasks: ['1.0.0'] }]);
  for (const run of [workflowIds.host(b), ...vmsOfB])
    expect([run, await heldTo(run)]).toEqual([run, { behaviour: pinned, tasks: ['2.0.0'] }]);
  // Its acts as well as its decisions: fence devices have a queue of their own.
  expect(versionsOf([workflowIds.host(a), workflowIds.fence(a), ...vmsOfA])).toEqual(['1.0.0']);
  expect(versionsOf([workflowIds.host(b), workflowIds.fence(b), ...vmsOfB])).toEqual(['2.0.0']);
  const known = await workerVersions(session(), deploymentName);
  expect(known.find((v) => v.buildId === '2.0.0')?.state).toBe('current');
  expect(known.find((v) => v.buildId === '1.0.0')?.state).toMatch(/^drain(ing|ed)$/);
});

it('the watch, which has no end, is taken over by the new version when the workers of the old one end', async () => {
  const watch = workflowIds.watch(`${system.prefix}${system.fleet.clusters[0]!.id}`);
  expect((await heldTo(watch)).behaviour).toBe(followsTheCurrent);
  const watchedBy = (on: string) => () => ran.some((r) => r.run === watch && r.on === on);
  expect(watchedBy('1.0.0')()).toBe(true);
  await system.stopWorker();
  await waitFor('the new version to watch', 30_000, watchedBy('2.0.0'));
});
