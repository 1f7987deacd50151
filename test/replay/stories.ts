/** Runs that come to every ending, on the simulated datacenter. Each tells which of its runs are kept, and what each pins. */
import type { WorkflowHandle } from '@temporalio/client';
import { fenceDeviceId, incidentId, workflowIds } from '../../domain/ids';
import * as messages from '../../workflows/messages';
import { type RecoverySystem, testTrigger } from '../support/recovery-system';
import { actsOn, eventually, said, untilPhase, untilVmPhase } from '../support/story';
import { moveStories } from './move-stories';
import { repairStories } from './repair-stories';
import { ended, handle, type Story } from './story';

const bmc = (s: RecoverySystem) => fenceDeviceId(`${s.host('a')}-bmc`);
const vmRun = (s: RecoverySystem, name: string): WorkflowHandle => handle(s, workflowIds.vm(s.vm(name)));
const partsOf = (s: RecoverySystem) => ({
  fence: handle(s, workflowIds.fence(s.host('a'))),
  locks: handle(s, workflowIds.locks(s.host('a'))),
});

export const stories: Readonly<Record<string, Story>> = {
  'a frozen host, held and resumed, with a second trigger': {
    options: { storage: 'nfs' },
    async tell(s) {
      s.controls.freeze(s.host('a'));
      const run = await s.recoverHost('a');
      await run.executeUpdate(messages.holdUpdate, { args: [said('wait')] });
      await run.executeUpdate(messages.addTriggerUpdate, { args: [testTrigger('again')] });
      await run.executeUpdate(messages.resumeUpdate, { args: [said('go on')] });
      await ended(run);
      const { fence, locks } = partsOf(s);
      return [
        { pins: 'recovered-after-hold', run },
        { pins: 'fenced', run: fence },
        { pins: 'free', run: locks },
        { pins: 'running', run: vmRun(s, 'vm-001') },
      ];
    },
  },
  'a host attested off, with foreign locks, and a guest that does not come up': {
    options: { storage: 'nfs', policy: { health: { kind: 'guest-agent', timeoutMs: 200 } } },
    async tell(s) {
      const path = s.spec.vms[0]?.disks[0]?.path ?? '';
      s.controls.setHealth(s.vm('vm-001'), 'never');
      s.controls.cutPower(s.host('a'), { bmcToo: true });
      const run = await s.recoverHost('a');
      await untilPhase(run, 'blocked-unfenced');
      s.controls.placeLock(path, s.spec.pools[0]!.id, 'backup-server');
      await run.executeUpdate(messages.attestFencedUpdate, { args: [said('I pulled its plug')] });
      await untilPhase(run, 'blocked-locks');
      s.controls.removeLock(path);
      const { fence, locks } = partsOf(s);
      const blocked = handle(s, locks.workflowId);
      const first = (await blocked.describe()).runId;
      await run.executeUpdate(messages.resumeUpdate, { args: [said('the backup is over')] });
      await ended(run);
      return [
        { pins: 'partially-recovered-after-attestation', run },
        { pins: 'fenced-by-attestation', run: fence },
        { pins: 'blocked', run: s.client.workflow.getHandle(locks.workflowId, first) },
        { pins: 'guest-degraded', run: vmRun(s, 'vm-001') },
      ];
    },
  },
  'a host that comes back before anything was sent': {
    async tell(s) {
      s.controls.setDevice(bmc(s), { mode: 'silent' });
      s.controls.freeze(s.host('a'));
      const run = await s.recoverHost('a');
      await untilPhase(run, 'blocked-unfenced');
      s.controls.thaw(s.host('a'));
      s.controls.setDevice(bmc(s), { mode: 'works' });
      await ended(run);
      return [
        { pins: 'dismissed', run },
        { pins: 'alive-again', run: partsOf(s).fence },
      ];
    },
  },
  'a host found degraded when it was to be switched off': {
    async tell(s) {
      s.controls.setDevice(bmc(s), { mode: 'silent' });
      s.controls.freeze(s.host('a'));
      const run = await s.recoverHost('a');
      await untilPhase(run, 'blocked-unfenced');
      const { workflowId } = partsOf(s).fence;
      const first = (await handle(s, workflowId).describe()).runId;
      s.controls.killDaemon(s.host('a'));
      s.controls.thaw(s.host('a'));
      s.controls.setDevice(bmc(s), { mode: 'works' });
      await untilPhase(run, 'held');
      await run.executeUpdate(messages.approveFencingUpdate, { args: [said('its guests are hung')] });
      await ended(run);
      return [
        { pins: 'recovered-although-degraded', run },
        { pins: 'degraded', run: s.client.workflow.getHandle(workflowId, first) },
      ];
    },
  },
  'a check of readiness': {
    async tell(s) {
      const clusterId = s.spec.clusters[0]!.id;
      const run = await s.client.workflow.start('checkReadiness', {
        ...{ workflowId: `${s.prefix}readiness`, taskQueue: s.taskQueue, args: [{ clusterId }] },
      });
      await ended(run);
      return [{ pins: 'checked', run }];
    },
  },
  'a host that rebooted by itself': {
    async tell(s) {
      s.controls.cutPower(s.host('a'));
      s.controls.powerOn(s.host('a'));
      const run = await s.recoverHost('a');
      await ended(run);
      return [{ pins: 'recovered-on-its-own-host', run }];
    },
  },
  'two hosts down, held, approved': {
    async tell(s) {
      s.controls.cutPower(s.host('a'));
      s.controls.cutPower(s.host('b'));
      const run = await s.recoverHost('a');
      await untilPhase(run, 'held');
      await run.executeUpdate(messages.approveFencingUpdate, { args: [said('both are down')] });
      await ended(run);
      return [{ pins: 'recovered-after-approval', run }];
    },
  },
  'an incident aborted while nothing was sent': {
    async tell(s) {
      s.controls.cutPower(s.host('a'), { bmcToo: true });
      const run = await s.recoverHost('a');
      await untilPhase(run, 'blocked-unfenced');
      await run.executeUpdate(messages.abortUpdate, { args: [said('by hand')] });
      await ended(run);
      return [
        { pins: 'aborted', run },
        { pins: 'aborted', run: partsOf(s).fence },
      ];
    },
  },
  'pages of one VM each': {
    async tell(s) {
      s.controls.cutPower(s.host('a'));
      const run = await s.recoverHost('a', { vmsPerRun: 1 });
      const first = (await run.describe()).runId;
      await ended(run);
      return [
        { pins: 'continued', run: s.client.workflow.getHandle(run.workflowId, first) },
        { pins: 'recovered-on-its-second-page', run: handle(s, run.workflowId) },
      ];
    },
  },
  'an incident cancelled while it was held': {
    async tell(s) {
      s.controls.cutPower(s.host('a'));
      s.controls.cutPower(s.host('b'));
      const run = await s.recoverHost('a');
      await untilPhase(run, 'held');
      await run.cancel();
      await ended(run);
      return [{ pins: 'cancelled', run }];
    },
  },
  'runs cancelled before their first step': {
    async tell(s) {
      await s.stopWorker();
      const fence = await s.fenceHost('a');
      const restart = await s.restartVm('vm-002');
      await fence.cancel();
      await restart.cancel();
      await s.startWorker();
      await ended(fence);
      await ended(restart);
      return [
        { pins: 'cancelled', run: fence },
        { pins: 'cancelled', run: restart },
      ];
    },
  },
  rehearsals: {
    async tell(s) {
      const host = await s.recoverHost('a', { mode: 'rehearse' });
      const vm = await s.restartVm('vm-001', { mode: 'rehearse' });
      const input = { hostId: s.host('a'), clusterId: s.spec.clusters[0]?.id, incidentId: 'none', epoch: 1 };
      const fence = await s.client.workflow.start('fenceHost', {
        ...{ workflowId: workflowIds.rehearsal(s.host('a'), 'fence'), taskQueue: s.taskQueue },
        args: [{ ...input, mode: 'rehearse', trigger: testTrigger(), evenIf: undefined, brief: undefined }],
      });
      for (const run of [host, vm, fence]) await ended(run);
      return [
        { pins: 'rehearsed', run: host },
        { pins: 'rehearsed', run: vm },
        { pins: 'rehearsed', run: fence },
      ];
    },
  },
  'starts refused, a lock that stays, a person who gives up, another who aborts': {
    async tell(s) {
      s.controls.cutPower(s.host('a'));
      await ended(await s.fenceHost('a'));
      s.controls.addRule({
        ...{ id: 'locked', port: 'hypervisor', call: 'start', target: s.vm('vm-001') },
        then: { kind: 'fail-before', fault: { code: 'LOCK_HELD', facts: { path: '/a', holder: 'b' } } },
      });
      s.controls.addRule({
        ...{ id: 'refused', port: 'hypervisor', call: 'start', target: s.vm('vm-004') },
        then: { kind: 'fail-before', fault: { code: 'START_REFUSED', facts: { detail: 'no KVM' } } },
      });
      const evidence = await s.inventory.evidenceFor(s.host('a'));
      if (evidence === undefined) throw new Error('the fence left no evidence');
      const failed = { hostId: s.host('a'), evidence };
      const stuck = await s.restartVm('vm-001', { failed });
      await untilVmPhase(stuck, 'stuck');
      const decide = (resolution: messages.StuckResolution) =>
        stuck.executeUpdate(messages.resolveStuckUpdate, { args: [{ ...said('looked'), resolution }] });
      const sofar = actsOn(s).length;
      await decide('retry');
      await eventually('another try', () => actsOn(s).length > sofar);
      await untilVmPhase(stuck, 'stuck');
      await decide('give-up');
      const refused = await s.restartVm('vm-004', { failed });
      await ended(stuck);
      await ended(refused);
      return [
        { pins: 'given-up-after-a-retry', run: stuck },
        { pins: 'refused-everywhere', run: refused },
      ];
    },
  },
  'a start whose outcome nobody knew for a while': {
    async tell(s) {
      s.controls.addRule({
        ...{ id: 'hangs', port: 'hypervisor', call: 'start', target: s.host('b'), times: 1 },
        then: { kind: 'world', when: 'after', control: 'hangDaemon', args: [s.host('b')] },
      });
      s.controls.cutPower(s.host('a'));
      const incident = await s.recoverHost('a');
      await ended(incident);
      s.controls.resumeDaemon(s.host('b'));
      const run = vmRun(s, 'vm-001');
      await ended(run);
      return [
        { pins: 'partially-recovered-with-a-stuck-vm', run: incident },
        { pins: 'running-after-an-unknown-outcome', run },
      ];
    },
  },
  'a VM destroyed on a living host, one that is back by itself, and one that waits for a yes': {
    async tell(s) {
      const missing = {
        cause: 'missing',
        graceMs: 50,
        trigger: testTrigger('it is not on its list'),
      } as const;
      const [first, , , approved] = s.spec.vms;
      if (first === undefined || approved === undefined) throw new Error('too few VMs');
      s.controls.destroyByHand(first.hostId, first.id);
      s.controls.destroyByHand(approved.hostId, approved.id);
      const run = await s.restartVm(first.name, missing);
      const back = await s.restartVm('vm-002', missing);
      const asked = await s.restartVm(approved.name, { ...missing, needsApproval: true });
      await eventually('it waits for a yes', async () => {
        const [incident] = await s.inventory.incidents({ vmId: approved.id, limit: 1 });
        return incident?.nextCommand?.includes('approve');
      });
      await asked.executeUpdate(messages.approveFencingUpdate, { args: [said('go on')] });
      for (const one of [run, back, asked]) await ended(one);
      return [
        { pins: 'running-after-it-was-missing', run },
        { pins: 'running-before-its-grace-ended', run: back },
        { pins: 'running-after-a-yes', run: asked },
      ];
    },
  },
  'a host that is readmitted, after it was refused': {
    async tell(s) {
      const a = s.host('a');
      s.controls.cutPower(a);
      await ended(await s.recoverHost('a'));
      const ask = (n: number, mode: 'act' | 'rehearse') =>
        s.client.workflow.start('readmitHost', {
          workflowId: mode === 'act' ? workflowIds.host(a) : workflowIds.rehearsal(a, String(n)),
          taskQueue: s.taskQueue,
          args: [
            {
              ...{ hostId: a, clusterId: s.spec.clusters[0]?.id, mode, epoch: n, trigger: testTrigger() },
              incidentId: incidentId({ kind: 'host', hostId: a }, n),
            },
          ],
        });
      const refused = await ask(2, 'act');
      await ended(refused);
      s.controls.powerOn(a);
      const rehearsed = await ask(3, 'rehearse');
      await ended(rehearsed);
      const run = await ask(3, 'act');
      await ended(run);
      return [
        {
          pins: 'refused',
          run: s.client.workflow.getHandle(refused.workflowId, refused.firstExecutionRunId),
        },
        { pins: 'rehearsed', run: rehearsed },
        { pins: 'readmitted', run: s.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId) },
      ];
    },
  },
  'a host that fails again while it is readmitted': {
    async tell(s) {
      const a = s.host('a');
      s.controls.cutPower(a);
      await ended(await s.recoverHost('a'));
      s.controls.powerOn(a);
      s.controls.addRule({
        ...{ id: 'hangs', port: 'hypervisor', call: 'list', target: a },
        then: { kind: 'hang', ms: 3_000 },
      });
      const id = incidentId({ kind: 'host', hostId: a }, 2);
      const run = await s.client.workflow.start('readmitHost', {
        ...{ workflowId: workflowIds.host(a), taskQueue: s.taskQueue },
        args: [
          {
            ...{ hostId: a, clusterId: s.spec.clusters[0]?.id, mode: 'act', epoch: 2 },
            ...{ incidentId: id, trigger: testTrigger() },
          },
        ],
      });
      await eventually('its incident', async () => (await s.inventory.incident(id)) !== undefined);
      s.controls.cutPower(a);
      const again = { ...testTrigger('it is down again'), needsApproval: false };
      await run.executeUpdate(messages.hostFailedAgainUpdate, { args: [again] });
      await ended(s.client.workflow.getHandle(run.workflowId));
      return [
        {
          pins: 'continued-as-a-recovery',
          run: s.client.workflow.getHandle(run.workflowId, run.firstExecutionRunId),
        },
      ];
    },
  },
  'a VM that is asked to shut down, and one whose guest does not react': {
    async tell(s) {
      const order = (name: string) =>
        s.client.workflow.start('stopVm', {
          ...{ workflowId: workflowIds.vm(s.vm(name)), taskQueue: s.taskQueue },
          args: [{ vmId: s.vm(name), name, by: 'tester', reason: 'test', patienceMs: 300 }],
        });
      const stopped = await order('vm-001');
      await ended(stopped);
      s.controls.freezeGuest(s.host('b'), s.vm('vm-002'), true);
      const deaf = await order('vm-002');
      await ended(deaf);
      return [
        { pins: 'stopped', run: stopped },
        { pins: 'still-running', run: deaf },
      ];
    },
  },
  ...moveStories,
  ...repairStories,
  'a watch that is called off': {
    async tell(s) {
      const run = await s.client.workflow.start('watchFleet', {
        ...{ workflowId: `watch:${s.prefix}`, taskQueue: s.taskQueue },
        args: [{ clusterId: s.spec.clusters[0]?.id, everyMs: 50 }],
      });
      await eventually('a look', () =>
        s.controls.journal().some((e) => e.kind === 'call' && e.call === 'list'),
      );
      await run.cancel();
      await ended(run);
      return [{ pins: 'cancelled', run }];
    },
  },
};
