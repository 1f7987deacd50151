import { z } from 'zod';
import type { Request, StartAnswer } from '../../answers';
import { withRecoveries } from '../door';
import { Problem } from '../problems';
import { type Answer, type Asked, route, type Route } from '../route';
import { stopVm } from '../../stop-vm';
import {
  moveBody,
  moveFileBody,
  nameText,
  restartBody,
  saidBody,
  startBody,
  started,
  stopping,
} from '../schemas';
import { onBehalf } from '../serve';

type Start = z.output<typeof startBody>;

const answers = {
  202: { says: 'Started; Location is where it can be followed.', schema: started },
  200: {
    says: 'This incident is, or was, handled already; the request was added to it while it is open.',
    schema: started,
  },
} as const;

const requestOf = (asked: Asked<unknown, unknown, Start>): Request => ({
  source: 'api',
  by: onBehalf(asked),
  reason: asked.body.reason,
  rehearse: asked.body.rehearse === true,
});

/** A start's answer in HTTP's words. @throws Problem 409 with a link to the work that holds the ID. */
export function answerOf(answer: StartAnswer): Answer {
  if (answer.answer === 'busy') throw busy(answer);
  const { answer: what, incidentId, workflowId, runId, type } = answer;
  const shared = { answer: what, incidentId, workflowId, ...(runId !== undefined && { runId }), type };
  if (answer.answer === 'same')
    return {
      status: 200,
      body: { ...shared, open: answer.open, sentence: answer.sentence },
      headers: { location: `/v1/incidents/${incidentId}` },
    };
  // A rehearsal opens no incident: what it would do is the result of its run.
  const location = answer.rehearsal
    ? `/v1/runs/${encodeURIComponent(workflowId)}`
    : `/v1/incidents/${incidentId}`;
  return {
    status: 202,
    body: { ...shared, rehearsal: answer.rehearsal, sentence: 'started' },
    headers: { location },
  };
}

function busy(answer: Extract<StartAnswer, { answer: 'busy' }>): Problem {
  const { workflowId, type, since, summary, incidentId } = answer;
  return new Problem(409, 'BUSY', `${workflowId} is being worked on by ${type} since ${since}: ${summary}`, {
    ...(incidentId !== undefined && {
      next: `vmedic incident show ${incidentId}`,
      headers: { location: `/v1/incidents/${incidentId}` },
    }),
  });
}

const rehearsing = (body: Start): string => (body.rehearse === true ? ' (rehearsal)' : '');

export const startRoutes: readonly Route[] = [
  route({
    ...{ method: 'post', path: '/v1/hosts/{host}/recover', tag: 'hosts', needs: 'operator', answers },
    summary: 'Fence a failed host, prove it, and start its VMs elsewhere, each exactly once',
    params: z.object({ host: nameText }),
    body: startBody,
    change: ({ params, body }) => ({
      ...{ action: `recoverHost${rehearsing(body)}`, target: params.host, reason: body.reason },
    }),
    handle: async (asked, door) =>
      answerOf(await withRecoveries(door, (to) => to.recoverHost(asked.params.host, requestOf(asked)))),
  }),
  route({
    ...{ method: 'post', path: '/v1/hosts/{host}/fence', tag: 'hosts', needs: 'operator', answers },
    summary: 'Switch a host off and prove it, whether it lives or not; its VMs stay where they are',
    params: z.object({ host: nameText }),
    body: startBody,
    change: ({ params, body }) => ({
      ...{ action: `fenceHost${rehearsing(body)}`, target: params.host, reason: body.reason },
    }),
    handle: async (asked, door) =>
      answerOf(await withRecoveries(door, (to) => to.fenceHost(asked.params.host, requestOf(asked)))),
  }),
  route({
    ...{ method: 'post', path: '/v1/vms/{vm}/restart', tag: 'vms', needs: 'operator', answers },
    summary: 'Start a VM that does not run, on a host where it may; refused while it may run anywhere',
    params: z.object({ vm: nameText }),
    body: restartBody,
    change: ({ params, body }) => ({
      ...{ action: `restartVm${rehearsing(body)}`, target: params.vm, reason: body.reason },
    }),
    handle: async (asked, door) => {
      const { params, body } = asked;
      return answerOf(
        await withRecoveries(door, (to) => to.restartVm(params.vm, requestOf(asked), body.target)),
      );
    },
  }),
  route({
    ...{ method: 'post', path: '/v1/vms/{vm}/repair', tag: 'vms', needs: 'operator', answers },
    summary:
      'Mend the file systems of a guest that does not get well: stopped, its disks kept as they are, back to them if it did not help',
    params: z.object({ vm: nameText }),
    body: startBody,
    change: ({ params, body }) => ({
      ...{ action: `repairGuest${rehearsing(body)}`, target: params.vm, reason: body.reason },
    }),
    handle: async (asked, door) =>
      answerOf(await withRecoveries(door, (to) => to.repairGuest(asked.params.vm, requestOf(asked)))),
  }),
  route({
    ...{ method: 'post', path: '/v1/vms/{vm}/migrate-volume', tag: 'vms', needs: 'operator', answers },
    summary: 'Move disks of a VM to another pool: verified, or taken back; the VM may run meanwhile',
    params: z.object({ vm: nameText }),
    body: moveBody,
    change: ({ params, body }) => ({
      action: `migrateVolume${rehearsing(body)}`,
      target: `${params.vm}: ${[body.disk].flat().join(', ')} to ${body.to}`,
      reason: body.reason,
    }),
    handle: async (asked, door) => {
      const { disk, to } = asked.body;
      return answerOf(
        await withRecoveries(door, (of) => of.migrateVolume(asked.params.vm, disk, to, requestOf(asked))),
      );
    },
  }),
  route({
    ...{ method: 'post', path: '/v1/volumes/move', tag: 'volumes', needs: 'operator', answers },
    summary: 'Move a disk that belongs to no VM to another pool; refused while any VM names it',
    problems: [404],
    body: moveFileBody,
    change: ({ body }) => ({
      action: `moveVolume${rehearsing(body)}`,
      target: `${body.disk} to ${body.to}`,
      reason: body.reason,
    }),
    handle: async (asked, door) => {
      const { disk, to, host } = asked.body;
      return answerOf(await withRecoveries(door, (of) => of.moveFile(disk, to, requestOf(asked), host)));
    },
  }),
  route({
    ...{ method: 'post', path: '/v1/vms/{vm}/stop', tag: 'vms', needs: 'operator' },
    summary: 'Ask the guest of a VM to shut down: it stays down, and is not missed, until it is started',
    params: z.object({ vm: nameText }),
    body: saidBody,
    answers: {
      202: { says: 'Asked for; Location is the run that follows it to its end.', schema: stopping },
    },
    change: ({ params, body }) => ({ action: 'stopVm', target: params.vm, reason: body.reason }),
    handle: async (asked, door) => {
      const { client, settings } = await door.temporal();
      const { inventory, taskQueue } = door;
      const at = {
        client,
        inventory,
        address: settings.address,
        ...(taskQueue !== undefined && { taskQueue }),
      };
      const request = { source: 'api', by: onBehalf(asked), reason: asked.body.reason } as const;
      const { workflowId, runId } = await stopVm(at, asked.params.vm, request);
      const location = `/v1/runs/${encodeURIComponent(workflowId)}`;
      return { status: 202, body: { workflowId, runId }, headers: { location } };
    },
  }),
];
