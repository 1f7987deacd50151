/** How a run itself behaves: paging, rehearsal, and a worker that remembers nothing between two tasks. */
import { judge } from '../support/judge';
import { actsOn, eventually, incidentOfHost, said, statusOf, systems, untilPhase } from '../support/story';
import { unfencedRecovery } from '../support/unfenced';
import { attestFencedUpdate, holdUpdate, resumeUpdate } from '../../workflows/messages';

const begin = systems();

const runsOf = async (system: Awaited<ReturnType<typeof begin>>, workflowId: string): Promise<number> => {
  let runs = 0;
  for await (const _ of system.client.workflow.list({ query: `WorkflowId = '${workflowId}'` })) runs += 1;
  return runs;
};

it('continues as new between pages, and reports every VM of all pages once', async () => {
  const system = await begin({ hosts: 3, vmsPerHost: 5 });
  system.controls.cutPower(system.host('a'));
  const run = await system.recoverHost('a', { vmsPerRun: 2 });
  const result = await run.result();
  expect(result).toMatchObject({ outcome: 'recovered', sentence: 'all 5 VMs run again' });
  expect(new Set(result.vms.map((v) => v.vmId))).toEqual(new Set(system.vmsOf('a')));
  await eventually('three runs of one ID', async () => (await runsOf(system, run.workflowId)) === 3);
  await judge(system);
});

it('stays held across a page, and goes on when told to', async () => {
  const system = await begin({ hosts: 3, vmsPerHost: 4 });
  system.controls.addRule({
    ...{ id: 'slow', port: 'hypervisor', call: 'start', times: 2 },
    then: { kind: 'delay', ms: 700 },
  });
  system.controls.cutPower(system.host('a'));
  const run = await system.recoverHost('a', { vmsPerRun: 2 });
  await untilPhase(run, 'restarting');
  const first = (await run.describe()).runId;
  await eventually('two starts', () => actsOn(system).filter((a) => a.includes('.start')).length === 2);
  await run.executeUpdate(holdUpdate, { args: [said('one moment')] });
  const held = system.client.workflow.getHandle(run.workflowId);
  await eventually('the second page', async () => (await held.describe()).runId !== first);
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(await statusOf(held)).toMatchObject({ held: true, phase: 'restarting' });
  expect(actsOn(system).filter((a) => a.includes('.start'))).toHaveLength(2);
  await held.executeUpdate(resumeUpdate, { args: [said('go on')] });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('accepts the new boot of a host whose VMs came back on it page by page', async () => {
  const system = await begin({ hosts: 3, vmsPerHost: 3 });
  const a = system.host('a');
  system.controls.cutPower(a);
  system.controls.powerOn(a);
  const result = await (await system.recoverHost('a', { vmsPerRun: 2 })).result();
  expect(result).toMatchObject({ outcome: 'recovered' });
  const { bootId } = system.controls.snapshot().hosts.find((h) => h.id === a) ?? {};
  expect(await system.inventory.host(a)).toMatchObject({ bootId });
  await judge(system);
});

describe('a rehearsal', () => {
  it('says everything that a recovery would do, in order, and touches nothing', async () => {
    const system = await begin({ storage: 'nfs' });
    const a = system.host('a');
    const result = await (await system.recoverHost('a', { mode: 'rehearse' })).result();
    expect(result).toMatchObject({ outcome: 'rehearsed' });
    expect(result.sentence).toBe('rehearsed: 2 of 2 VMs would come back; nothing was touched');
    expect(result.would).toEqual([
      expect.stringContaining(`${a} is alive now`) as string,
      'within the blast radius (1 of 1 allowed)',
      `would switch ${a} off by ${a}-bmc (bmc); it reads "on" now`,
      `would release 2 locks of ${a} on ${system.spec.pools[0]?.id}`,
      expect.stringMatching(
        /^vm-001: would reserve 4 MiB, 1 vCPU on .*, define it there, start it and read it back$/,
      ) as string,
      expect.stringMatching(/^vm-004: would reserve/) as string,
    ]);
    expect(actsOn(system)).toEqual([]);
    expect(await system.inventory.incidents()).toEqual([]);
    expect(await system.inventory.reservations()).toEqual([]);
    expect(await system.inventory.host(a)).toMatchObject({ standing: 'in-service' });
    await judge(system);
  });

  it("stands in nobody's way: the real recovery starts while it runs", async () => {
    const system = await begin();
    system.controls.addRule({
      ...{ id: 'slow', port: 'hostCommands', call: 'inspectDisks', times: 1 },
      then: { kind: 'delay', ms: 1_000 },
    });
    const rehearsal = await system.recoverHost('a', { mode: 'rehearse' });
    system.controls.cutPower(system.host('a'));
    await expect((await system.recoverHost('a')).result()).resolves.toMatchObject({ outcome: 'recovered' });
    await rehearsal.result();
    await judge(system);
  });

  it('says which VM would not come back, and why', async () => {
    const system = await begin();
    system.controls.setDisk('/simulated/shared/vm-004.raw', 'missing');
    const result = await (await system.recoverHost('a', { mode: 'rehearse' })).result();
    expect(result.would.at(-1)).toMatch(
      /^vm-004 would NOT come back: \/simulated\/shared\/vm-004.raw is missing/,
    );
    expect(result.vms.map((v) => v.phase)).toEqual(['running', 'blocked']);
  });
});

describe('a worker that replays every run from its history at every task', () => {
  it('recovers a host all the same', async () => {
    const system = await begin({ maxCachedWorkflows: 0 });
    system.controls.cutPower(system.host('a'));
    await expect((await system.recoverHost('a')).result()).resolves.toMatchObject({ outcome: 'recovered' });
    await judge(system);
  });

  it('hears people, waits, pages and ends all the same', async () => {
    const system = await begin({ maxCachedWorkflows: 0, vmsPerHost: 3 });
    const { run } = await unfencedRecovery(system, 'a', 'dark', { vmsPerRun: 2 });
    await run.executeUpdate(holdUpdate, { args: [said('one moment')] });
    await run.executeUpdate(resumeUpdate, { args: [said('go on')] });
    await run.executeUpdate(attestFencedUpdate, { args: [said('I pulled its plug')] });
    await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
    expect(await system.inventory.incident(incidentOfHost(system, 'a'))).toMatchObject({
      phase: 'recovered',
    });
    await judge(system);
  });
});
