/** `vmedic up` as its user has it: the built command line, every part a process of its own, on a simulated datacenter that outlives them. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { hostId } from '../../domain/ids';
import { openInventory } from '../../drivers/postgres';
import { sampleWorld } from '../../drivers/simulated';
import { readRuntime, type RuntimeFile } from '../../workers/embedded/runtime-file';
import { waitFor } from '../../lab/wait-for';
import { identify } from '../../workers/embedded/server-process';
import { simulatedConfig } from '../../workers/simulated-datacenter';
import { simulatedElsewhere } from '../support/simulated-process';

interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

let folder: string;
let stateDir: string;
let configFile: string;
// Observing: these recoveries are started by hand, and must not be over before they are asked for.
const world = sampleWorld({
  ...{ hosts: 5, vmsPerHost: 2, mode: 'observe' },
  costs: { startMs: 800, fenceMs: 200, silenceMs: 200 },
});
let elsewhere: Awaited<ReturnType<typeof simulatedElsewhere>>;

// The run's own test server must not be taken for this system's.
const { TEMPORAL_ADDRESS: _address, ...env } = process.env;

function vmedic(...args: string[]): Promise<Ran> {
  const launcher = join(__dirname, '..', '..', 'bin', 'vmedic');
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [launcher, ...args],
      { env: { ...env, VMEDIC_CONFIG: configFile } },
      (_, stdout, stderr) => resolve({ exit: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

function runtime(): RuntimeFile {
  const read = readRuntime(stateDir);
  if (read === undefined) throw new Error('no system runs');
  return read;
}

/** Waits until the incident of this host is being worked on. */
async function underWay(host: string): Promise<void> {
  const inventory = openInventory({ url: runtime().inventory.url, poolMax: 1 });
  try {
    for (const deadline = Date.now() + 30_000; Date.now() < deadline; await delay(20)) {
      const [latest] = await inventory.incidents({ hostId: hostId(host), open: true });
      if (latest !== undefined) return;
    }
    throw new Error(`no incident of ${host} was opened`);
  } finally {
    await inventory.close();
  }
}

/** Every VM exactly once on a host with power, and never on two at a time. */
async function everyVmRunsOnce(): Promise<void> {
  const { processes, hosts } = await elsewhere.connection.control.snapshot();
  const on = hosts.filter((h) => h.power === 'on').map((h) => h.id);
  for (const { id } of world.vms) {
    const runs = processes.filter((p) => p.vmId === id).sort((a, b) => a.startedSeq - b.startedSeq);
    expect(runs.filter((p) => p.endedSeq === undefined && on.includes(p.hostId))).toHaveLength(1);
    runs.slice(1).forEach((run, i) => expect(runs[i]?.endedSeq).toBeLessThan(run.startedSeq));
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vme-'));
  stateDir = join(folder, 'state');
  configFile = join(folder, 'vmedic.yaml');
  elsewhere = await simulatedElsewhere(world);
  writeFileSync(configFile, stringify(simulatedConfig(world, elsewhere.socket, stateDir)));
  const ran = await vmedic('up', '--detach');
  if (ran.exit !== 0) throw new Error(ran.stderr);
});

afterAll(async () => {
  await vmedic('down', '--state-dir', stateDir);
  await elsewhere.end();
  rmSync(folder, { recursive: true, force: true });
});

it('a second one on the same state is refused and told of the first', async () => {
  const second = await vmedic('up', '--json');
  expect(second.exit).toBe(3);
  expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: 'ALREADY_RUNS' } });
  expect(second.stderr).toContain(`process ${runtime().supervisor.pid}`);
});

it.each([
  ['the worker', 'hv-a', (r: RuntimeFile) => r.workers[0]?.pid],
  ['the Temporal server', 'hv-b', (r: RuntimeFile) => r.temporal.pid],
  ['the inventory', 'hv-c', (r: RuntimeFile) => r.inventory.pid],
])('kill -9 of %s in the middle of a recovery changes only the time', async (_, host, victim) => {
  const before = runtime();
  await elsewhere.connection.control.cutPower(hostId(host));
  const recovery = vmedic('host', 'recover', host, '--wait', '--json');
  await underWay(host);
  process.kill(victim(before) ?? 0, 'SIGKILL');
  const ran = await recovery;
  expect(ran.stderr).not.toContain('error:');
  expect(JSON.parse(ran.stdout)).toMatchObject({
    ending: { kind: 'finished', result: { outcome: 'recovered' } },
  });
  expect(ran.exit).toBe(0);
  expect(victim(runtime())).not.toBe(victim(before));
  expect(runtime().temporal.address).toBe(before.temporal.address);
  expect(runtime().inventory.url).toBe(before.inventory.url);
  await everyVmRunsOnce();
});

it('its API knows a token, and comes back on its port when it is killed', async () => {
  const before = runtime().api;
  if (before === undefined) throw new Error('no API runs');
  const made = await vmedic('token', 'create', 'tester', '--role', 'viewer', '--json');
  const { token } = JSON.parse(made.stdout) as { token: string };
  const status = async (as: string): Promise<number> =>
    (await fetch(`${before.url}/v1/status`, { headers: { authorization: `Bearer ${as}` } })).status;
  expect([await status(token), await status(`${token}x`)]).toEqual([200, 401]);
  process.kill(before.pid, 'SIGKILL');
  await waitFor('another API to run', 60_000, () => runtime().api?.pid !== before.pid);
  expect(runtime().api?.url).toBe(before.url);
  expect(await status(token)).toBe(200);
  await vmedic('token', 'revoke', 'tester');
  expect(await status(token)).toBe(401);
});

it('kill -9 of the supervisor leaves its servers at work, and the next up takes them over', async () => {
  const before = runtime();
  process.kill(before.supervisor.pid, 'SIGKILL');
  await expect(vmedic('vm', 'list', '--json')).resolves.toMatchObject({ exit: 0 });
  await expect(vmedic('up', '--detach')).resolves.toMatchObject({ exit: 0 });
  expect(runtime().supervisor.pid).not.toBe(before.supervisor.pid);
  expect(identify(before.workers[0]?.pid ?? 0)).toBeUndefined();
  const ran = await vmedic('incident', 'list', '--json');
  expect((JSON.parse(ran.stdout) as { incidents: object[] }).incidents).toHaveLength(3);
});

it('down leaves no process, and says so a second time', async () => {
  const { supervisor, temporal, inventory, workers, api } = runtime();
  const pids = [supervisor.pid, temporal.pid, inventory.pid, workers[0]?.pid, api?.pid].map(
    (pid) => pid ?? 0,
  );
  expect(pids.map((pid) => identify(pid) !== undefined)).toEqual([true, true, true, true, true]);
  await expect(vmedic('down')).resolves.toMatchObject({ exit: 0 });
  expect(pids.map(identify)).toEqual(pids.map(() => undefined));
  const again = await vmedic('down', '--state-dir', stateDir);
  expect(again.stdout).toContain('Nothing runs');
  await expect(vmedic('status')).resolves.toMatchObject({ exit: 6 });
});
