import { existsSync } from 'node:fs';
import { hostId } from '../../../domain/ids';
import {
  connectSimulated,
  sampleWorld,
  serveSimulated,
  startSimulatedProcess,
  World,
} from '../../../drivers/simulated';
import { eventually, faultCode } from '../../contracts/contract';
import { simulatedElsewhere } from '../../support/simulated-process';

const a = hostId('hv-a');
const forever = new AbortController().signal;
const spec = sampleWorld({ hosts: 2, vmsPerHost: 1, costs: { silenceMs: 5 } });

let elsewhere: Awaited<ReturnType<typeof simulatedElsewhere>>;
beforeEach(async () => {
  elsewhere = await simulatedElsewhere(spec);
});
afterEach(() => elsewhere.end());

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    // ESRCH: no such process, which is the answer asked for.
    return false;
  }
};

it('goes on when those who use it go away', async () => {
  const { connection, socket } = elsewhere;
  await connection.control.cutPower(a);
  await connection.close();
  const again = await connectSimulated(socket);
  expect((await again.control.snapshot()).hosts.find((h) => h.id === a)?.power).toBe('off');
  await again.close();
});

it('tells the fleet that an operator would declare for it', () => {
  const [cluster] = elsewhere.connection.fleet.clusters;
  expect(cluster?.hosts.map((h) => h.id)).toEqual(['hv-a', 'hv-b']);
  expect(cluster?.hosts[0]?.fenceLevels[0]?.devices[0]).toEqual({ id: 'hv-a-bmc', agent: 'simulated' });
});

it('is silence to its ports once it is gone, never an answer', async () => {
  const { connection, process: world } = elsewhere;
  process.kill(world.pid, 'SIGKILL');
  await eventually(5_000, async () => !isAlive(world.pid));
  expect(await connection.ports.hypervisor.probe(a, forever)).toMatchObject({ says: 'silent' });
  expect(await faultCode(connection.ports.hypervisor.list(a, forever))).toBe('HYPERVISOR_UNREACHABLE');
  await expect(connection.control.snapshot()).rejects.toThrow();
});

it('makes an act unknown whose answer was lost with it', async () => {
  const { connection, process: world } = elsewhere;
  await connection.control.setCosts({ fenceMs: 5_000 });
  const device = {
    id: connection.fleet.clusters[0]!.hosts[0]!.fenceLevels[0]!.devices[0]!.id,
    agent: 'simulated',
  };
  const off = connection.ports.fencing.off(a, device, forever);
  off.catch(() => undefined);
  await eventually(5_000, async () =>
    (await connection.control.journal()).some((e) => e.kind === 'call' && e.call === 'off'),
  );
  process.kill(world.pid, 'SIGKILL');
  expect(await faultCode(off)).toBe('FENCE_OUTCOME_UNKNOWN');
});

it('ends the process that calls when a rule says so', async () => {
  let crashed = 0;
  const caller = await connectSimulated(elsewhere.socket, { crashWorker: () => void (crashed += 1) });
  await caller.control.addRule({
    ...{ id: 'crash', port: 'hypervisor', call: 'list', times: 1 },
    then: { kind: 'crash-worker', when: 'before' },
  });
  await faultCode(caller.ports.hypervisor.list(a, forever));
  expect(crashed).toBe(1);
  await caller.close();
});

it('refuses to serve a socket that another one serves, and takes over one that nobody does', async () => {
  const { socket, process: world } = elsewhere;
  await expect(serveSimulated(socket, new World(spec))).rejects.toThrow(
    /another simulated datacenter is serving/,
  );
  process.kill(world.pid, 'SIGKILL');
  await eventually(5_000, async () => !isAlive(world.pid));
  expect(existsSync(socket)).toBe(true);
  const server = await serveSimulated(socket, new World(spec));
  const connection = await connectSimulated(socket);
  expect((await connection.ports.hypervisor.probe(a, forever)).says).toBe('answers');
  await connection.close();
  await server.close();
});

it('says what is wrong when nobody serves the socket, or its path is too long', async () => {
  await expect(connectSimulated('/nonexistent/socket')).rejects.toThrow(/no simulated datacenter answers on/);
  const socket = `/tmp/${'x'.repeat(110)}`;
  await expect(startSimulatedProcess({ socket, world: spec })).rejects.toThrow(/longer than 107 bytes/);
});
