import { RecoveryClient } from '../../client/recovery-client';
import type { FrontDoor } from '../../client/starts';
import { incidentId } from '../../domain/ids';
import { fleet, host, incident } from '../support/command-line';

const request = { source: 'webhook', by: 'alertmanager', reason: 'hv-a is down' } as const;
const hostTarget = incident().target;
const idOf = (epoch: number) => incidentId(hostTarget, epoch);
const first = incident({ incidentId: idOf(1), outcome: 'recovered', closedAt: new Date(0).toISOString() });

/** An inventory whose newest incident is read as `newest` says, one answer after the other; the host is fenced. */
function door(newest: ReturnType<typeof incident>[]): FrontDoor {
  const run = { workflowId: 'host:hv-a', type: 'recoverHost' };
  const last = newest.at(-1) ?? first;
  const described = {
    ...{ ...run, runId: `run of ${last.incidentId}`, memo: { incidentId: last.incidentId } },
    status: { name: last.closedAt === undefined ? 'RUNNING' : 'COMPLETED' },
  };
  const inventory = {
    switches: () => Promise.resolve([]),
    incidents: () => Promise.resolve([newest.length > 1 ? newest.shift() : newest[0]]),
    host: () => Promise.resolve(host('hv-a', { standing: 'fenced' })),
  };
  const handle = { describe: () => Promise.resolve(described), executeUpdate: () => Promise.resolve('') };
  const client = {
    workflow: { getHandle: () => handle },
    withDeadline: (_: unknown, act: () => Promise<unknown>) => act(),
  };
  return { client, inventory, fleet, address: 'nowhere' } as unknown as FrontDoor;
}

it('answers a report that comes after the recovery with the incident that was', async () => {
  expect(await new RecoveryClient(door([first])).recoverHost('hv-a', request)).toMatchObject({
    answer: 'same',
    open: false,
    incidentId: idOf(1),
  });
});

it('does not take a host that a newer incident has just fenced for the one of the incident before', async () => {
  const second = incident({ incidentId: idOf(2), epoch: 2 });
  expect(await new RecoveryClient(door([first, second])).recoverHost('hv-a', request)).toMatchObject({
    answer: 'same',
    open: true,
    incidentId: idOf(2),
  });
});

describe('a run that held the ID for the next incident, and has ended', () => {
  function after(row: ReturnType<typeof incident> | undefined) {
    const started: string[] = [];
    const known = door([first]);
    const described = {
      ...{ workflowId: 'host:hv-a', type: 'recoverHost', runId: 'gone', memo: { incidentId: idOf(2) } },
      status: { name: 'TERMINATED' },
    };
    const start = (type: string) => {
      started.push(type);
      return Promise.resolve({ firstExecutionRunId: 'anew' });
    };
    const workflow = { getHandle: () => ({ describe: () => Promise.resolve(described) }), start };
    const inventory = {
      ...known.inventory,
      incident: () => Promise.resolve(row),
      host: () => Promise.resolve(host('hv-a', { standing: 'in-service' })),
    };
    const ask = new RecoveryClient({ ...known, inventory, client: { workflow } } as unknown as FrontDoor);
    return { started, answer: ask.recoverHost('hv-a', request) };
  }

  it('has handled it when its incident says so', async () => {
    const { started, answer } = after(
      incident({ incidentId: idOf(2), epoch: 2, outcome: 'recovered', closedAt: new Date(0).toISOString() }),
    );
    expect(await answer).toMatchObject({ answer: 'same', open: false, incidentId: idOf(2) });
    expect(started).toEqual([]);
  });

  it('has handled nothing when it left no incident: it is begun anew', async () => {
    const { started, answer } = after(undefined);
    expect(await answer).toMatchObject({ answer: 'started', incidentId: idOf(2) });
    expect(started).toEqual(['recoverHost']);
  });
});
