/** A cancellation in Temporal itself, in each phase: before an act it goes back, after it forward to a known state; no incident stays open. */
import { workflowIds } from '../../domain/ids';
import type { FaultRule } from '../../drivers/simulated/fault-rules';
import { judge } from '../support/judge';
import type { RecoverySystem, SystemOptions } from '../support/recovery-system';
import { actsOn, endedCancelled, eventually, incidentOfHost, systems, untilPhase } from '../support/story';

const begin = systems();

interface Case {
  readonly phase: 'suspect' | 'held' | 'fencing' | 'blocked-unfenced' | 'releasing' | 'restarting';
  readonly options?: SystemOptions;
  readonly rule?: Omit<FaultRule, 'id'>;
  readonly fail: (system: RecoverySystem) => void;
  /** What the host's VMs are after everything under way has come to its end. */
  readonly vms: 'down' | 'up' | 'on their host';
  /** The call at which the phase is left alone long enough to be cancelled in. */
  readonly at?: string;
}

const cut = (system: RecoverySystem): void => system.controls.cutPower(system.host('a'));
const cases: readonly Case[] = [
  {
    phase: 'suspect',
    rule: { port: 'hypervisor', call: 'probe', then: { kind: 'delay', ms: 1_500 } },
    at: 'probe',
    fail: cut,
    vms: 'down',
  },
  {
    phase: 'held',
    fail(system) {
      cut(system);
      system.controls.cutPower(system.host('b'));
    },
    vms: 'down',
  },
  {
    phase: 'fencing',
    rule: { port: 'fencing', call: 'off', then: { kind: 'delay', ms: 1_000 } },
    at: 'off',
    fail: (system) => system.controls.freeze(system.host('a')),
    vms: 'down',
  },
  {
    phase: 'blocked-unfenced',
    fail(system) {
      system.controls.cutPower(system.host('a'), { bmcToo: true });
    },
    vms: 'down',
  },
  {
    phase: 'releasing',
    options: { storage: 'nfs' },
    rule: { port: 'storageLocks', call: 'list', then: { kind: 'delay', ms: 1_000 } },
    at: 'list',
    fail: cut,
    vms: 'down',
  },
  {
    phase: 'restarting',
    rule: { port: 'hypervisor', call: 'start', then: { kind: 'delay', ms: 1_000 } },
    at: 'start',
    fail: cut,
    vms: 'up',
  },
];

it.each(cases)('ends a recovery cancelled while $phase as aborted, with nothing left halfway', async (c) => {
  const system = await begin(c.options ?? {});
  if (c.rule !== undefined) system.controls.addRule({ id: 'slow', ...c.rule });
  c.fail(system);
  const run = await system.recoverHost('a');
  if (c.at !== undefined)
    await eventually(`a call ${c.at}`, () =>
      system.controls.journal().some((e) => e.kind === 'call' && e.call === c.at),
    );
  await untilPhase(run, c.phase);
  await run.cancel();
  expect(await endedCancelled(run)).toBe(true);
  const incident = await system.inventory.incident(incidentOfHost(system, 'a'));
  expect(incident).toMatchObject({ outcome: 'aborted', phase: 'aborted' });
  await othersEnd(system);
  const down = c.vms === 'down' ? system.vmsOf('a') : [];
  if (c.phase === 'held') down.push(...system.vmsOf('b'));
  await judge(system, { down });
});

/** What was under way in runs of its own comes to its end by itself. */
async function othersEnd(system: RecoverySystem): Promise<void> {
  const handle = (id: string) => system.client.workflow.getHandle(id);
  const ids = [
    workflowIds.fence(system.host('a')),
    workflowIds.locks(system.host('a')),
    ...system.vmsOf('a').map(workflowIds.vm),
  ];
  for (const id of ids) {
    const known = await handle(id)
      .describe()
      .catch(() => undefined);
    if (known !== undefined) await handle(id).result();
  }
}

it('takes back what was prepared when a restart is cancelled before its start is sent', async () => {
  const system = await begin({ policy: { storageDeadlineMs: 60_000 } });
  system.controls.cutPower(system.host('a'));
  await (await system.fenceHost('a')).result();
  system.controls.setDisk(system.spec.vms[0]?.disks[0]?.path ?? '', 'missing');
  const vm = system.vm('vm-001');
  const run = await system.restartVm('vm-001');
  await eventually('room reserved', async () =>
    (await system.inventory.reservations()).some((r) => r.vmId === vm),
  );
  await run.cancel();
  expect(await endedCancelled(run)).toBe(true);
  expect(actsOn(system).some((a) => a.startsWith('hypervisor.start'))).toBe(false);
  const { hosts } = system.controls.snapshot();
  const definedOn = hosts.filter((h) => h.definitions.some((d) => d.vmId === vm)).map((h) => h.id);
  expect(definedOn).toEqual([system.host('a')]);
  const [incident] = await system.inventory.incidents({ vmId: vm });
  expect(incident).toMatchObject({ outcome: 'aborted' });
  await judge(system, { down: system.vmsOf('a') });
});

it('takes nothing for an answer that came of its worker being stopped', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'));
  const asked = (): boolean =>
    system.controls.journal().some((e) => e.kind === 'call' && e.port === 'fencing' && e.call === 'status');
  system.controls.addRule({
    ...{ id: 'slow', port: 'fencing', call: 'status', times: 1 },
    then: { kind: 'delay', ms: 60_000 },
  });
  const run = await system.fenceHost('a');
  await eventually('a call status', asked);
  await system.stopWorker();
  await system.startWorker();
  await expect(run.result()).resolves.toMatchObject({ kind: 'fenced' });
  const timeline = await system.inventory.timeline(incidentOfHost(system, 'a'));
  expect(timeline.filter((e) => e.sentence.includes('not proven off'))).toEqual([]);
  await judge(system, { down: system.vmsOf('a') });
});

it('goes on to a known state when a restart is cancelled after its start was sent', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'));
  await (await system.fenceHost('a')).result();
  system.controls.addRule({
    ...{ id: 'slow', port: 'hypervisor', call: 'start', times: 1 },
    then: { kind: 'delay', ms: 1_000 },
  });
  const run = await system.restartVm('vm-001');
  await eventually('a call start', () =>
    system.controls.journal().some((e) => e.kind === 'call' && e.call === 'start'),
  );
  await run.cancel();
  await expect(run.result()).resolves.toMatchObject({ phase: 'running' });
  await judge(system, { down: system.vmsOf('a').filter((v) => v !== system.vm('vm-001')) });
});

it('lets a host take VMs again when its fence is cancelled before anything was sent', async () => {
  const system = await begin();
  system.controls.addRule({
    ...{ id: 'slow', port: 'hypervisor', call: 'probe' },
    then: { kind: 'delay', ms: 50 },
  });
  const run = await system.fenceHost('a');
  await run.cancel();
  const cancelled = await endedCancelled(run);
  const standing = (await system.inventory.host(system.host('a')))?.standing;
  const [incident] = await system.inventory.incidents({ hostId: system.host('a') });
  // Whichever was first, both ends are whole: taken back, or fenced and proven.
  expect({ cancelled, standing }).toEqual(
    cancelled ? { cancelled, standing: 'in-service' } : { cancelled, standing: 'fenced' },
  );
  expect(incident?.closedAt).toBeDefined();
  await judge(system, { down: cancelled ? [] : system.vmsOf('a') });
});
