import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { RecoveryClient } from '../../client/recovery-client';
import { judge } from '../../client/cli/demo';
import { exitCodes } from '../../client/cli/exit-codes';
import { buildProgram, main } from '../../client/cli/main';
import type { Io } from '../../client/cli/io';
import type { Inventory, OpenSession } from '../../client/cli/session';
import { troublesOf } from '../../client/cli/commands/status';
import { codeOf } from '../../client/cli/wait';
import type { Ending } from '../../client/answers';
import { DriverFault } from '../../domain/faults';
import type { Fleet } from '../../domain/fleet';
import { clusterId, hostId, incidentId, vmId } from '../../domain/ids';
import { defaultPolicy } from '../../domain/limits';
import type { HostRecord, IncidentRecord, VmRecord } from '../../domain/records';

const folder = mkdtempSync(join(tmpdir(), 'vmedic-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hvA = hostId('hv-a');
const now = (): string => new Date().toISOString();

const fleet: Fleet = {
  pools: [],
  clusters: [
    {
      ...{ id: clusterId('one'), mode: 'automatic', policy: defaultPolicy, vms: {} },
      hosts: ['hv-a', 'hv-b'].map((name) => ({
        ...{ id: hostId(name), clusterId: clusterId('one'), capacity: { memoryMiB: 64, vcpus: 4 } },
        ...{ pools: [], networks: [], fenceLevels: [] },
      })),
    },
  ],
};

const vm = (name: string, more: Partial<VmRecord> = {}): VmRecord => ({
  ...{
    vmId: vmId(`0000-${name}`),
    name,
    clusterId: clusterId('one'),
    hostId: hvA,
    desired: 'running',
    protected: true,
  },
  ...{ persistent: true, priority: 3, antiAffinity: undefined, definitionVersion: 1, epoch: 0, version: 1 },
  observed: { state: 'running', reason: 'booted', at: now() },
  shape: { memoryMiB: 4, vcpus: 1, disks: [], networks: [], consolePath: undefined },
  ...more,
});

const incident = (more: Partial<IncidentRecord> = {}): IncidentRecord => ({
  ...{ incidentId: incidentId({ kind: 'host', hostId: hvA }, 1), target: { kind: 'host', hostId: hvA } },
  ...{
    clusterId: clusterId('one'),
    epoch: 1,
    phase: 'fencing',
    summary: 'switching off',
    triggers: [],
    version: 1,
  },
  ...{
    nextCommand: undefined,
    outcome: undefined,
    openedAt: now(),
    closedAt: undefined,
    workflowId: 'host:hv-a',
  },
  ...more,
});

const host = (name: string, more: Partial<HostRecord> = {}): HostRecord => ({
  ...{
    hostId: hostId(name),
    clusterId: clusterId('one'),
    standing: 'in-service',
    bootId: 'b',
    lastSeenAt: now(),
    version: 1,
  },
  ...more,
});

const inventory = (more: Partial<Inventory> = {}): Inventory => ({
  host: () => Promise.resolve(host('hv-a')),
  hosts: () => Promise.resolve([host('hv-a'), host('hv-b')]),
  vm: () => Promise.resolve(undefined),
  vms: () => Promise.resolve([vm('web'), vm('db')]),
  incident: () => Promise.resolve(undefined),
  incidents: () => Promise.resolve([]),
  timeline: () => Promise.resolve([]),
  alerts: () => Promise.resolve([]),
  evidenceFor: () => Promise.resolve(undefined),
  definition: () => Promise.resolve(undefined),
  sightings: () => Promise.resolve([]),
  ...more,
});

interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  argv: readonly string[],
  options: { env?: NodeJS.ProcessEnv; open?: OpenSession } = {},
): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const io: Io = {
    ...{ cwd: folder, live: false, color: false, env: { VMEDIC_HOME: folder, ...options.env } },
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
  };
  const exit = await (options.open === undefined ? main(argv, io) : main(argv, io, options.open));
  expect(stdout + stderr).not.toMatch(/\n\s+at .*:\d+:\d+/);
  return { exit, stdout, stderr };
}

/** A server that has one run of each ID, of some other incident. */
const busyClient = (type: string, memo: object): Client =>
  ({
    withDeadline: (_: number, ask: () => Promise<unknown>) => ask(),
    workflow: {
      start: (asked: string, { workflowId }: { workflowId: string }) =>
        Promise.reject(new WorkflowExecutionAlreadyStartedError('started', workflowId, asked)),
      getHandle: (workflowId: string) => ({
        describe: () =>
          Promise.resolve({
            ...{
              workflowId,
              runId: 'run-1',
              type,
              memo,
              status: { name: 'RUNNING' },
              startTime: new Date(0),
            },
            staticSummary: () => Promise.resolve('Migrate volume of web'),
          }),
      }),
    },
  }) as unknown as Client;

const session =
  (reads: Inventory, client?: Client): OpenSession =>
  () =>
    Promise.resolve({
      ...{ configPath: 'vmedic.yaml', fleet, inventory: reads },
      temporal: () =>
        Promise.resolve({
          client: client as Client,
          settings: { address: 'temporal:7233', namespace: 'default', uiUrl: 'http://ui' },
          close: () => Promise.resolve(),
        }),
      recoveries: () =>
        Promise.resolve(
          new RecoveryClient({
            client: client as Client,
            inventory: reads,
            fleet,
            address: 'temporal:7233',
          }),
        ),
      close: () => Promise.resolve(),
    });

const configFile = (name: string, more: object): string => {
  const path = join(folder, name);
  const config = {
    version: 1,
    clusters: [
      {
        id: 'one',
        hosts: [
          {
            ...{ id: 'hv-a', hypervisor: { driver: 'libvirt', uri: 'qemu:///system' } },
            ...{ commands: { driver: 'ssh', target: 'hv-a' }, capacity: { memoryMiB: 1, vcpus: 1 } },
          },
        ],
      },
    ],
    ...more,
  };
  writeFileSync(path, stringify(config));
  return path;
};

describe('bad input gets one sentence, the way out and its exit code', () => {
  it('an unknown host: the known ones are named', async () => {
    const ran = await run(['host', 'recover', 'hv-x'], { open: session(inventory(), busyClient('x', {})) });
    expect(ran.exit).toBe(exitCodes.usage);
    expect(ran.stderr).toContain('There is no host hv-x in the config; known: hv-a, hv-b');
    expect(ran.stderr).toContain('next: vmedic host list');
  });

  it('an unknown VM, and a name that two VMs bear', async () => {
    const twins = inventory({
      vms: () => Promise.resolve([vm('web'), vm('web', { vmId: vmId('1111'), hostId: hostId('hv-b') })]),
    });
    const unknown = await run(['vm', 'show', 'nope'], { open: session(inventory()) });
    const twice = await run(['vm', 'restart', 'web'], { open: session(twins, busyClient('x', {})) });
    expect([unknown.exit, twice.exit]).toEqual([exitCodes.usage, exitCodes.usage]);
    expect(twice.stderr).toContain('2 VMs are called web: 0000-web (on hv-a), 1111 (on hv-b)');
  });

  it('a config with several mistakes: all of them, each with its line', async () => {
    const path = configFile('wrong.yaml', { version: 2, pols: [], inventory: { url: 'mysql://x' } });
    const ran = await run(['host', 'list', '--config', path]);
    expect(ran.exit).toBe(exitCodes.usage);
    for (const place of [
      'wrong.yaml:1:1: error: version',
      'error: pols: there is no such key here; did you mean pools?',
      'inventory.url',
    ])
      expect(ran.stderr).toContain(place);
    const checked = await run(['config', 'check', path, '--file-only', '--json']);
    expect(checked.exit).toBe(exitCodes.usage);
    expect((JSON.parse(checked.stdout) as { problems: object[] }).problems.length).toBeGreaterThanOrEqual(3);
  });

  it('a VM that is being worked on: refused, with who does it, since when, and a link to the run', async () => {
    const other = incidentId({ kind: 'host', hostId: hvA }, 7);
    const reads = inventory({
      incident: () => Promise.resolve(incident({ incidentId: other, summary: 'copying vda' })),
    });
    const open = session(reads, busyClient('migrateVolume', { incidentId: other }));
    const ran = await run(['vm', 'restart', 'web'], { open });
    expect(ran.exit).toBe(exitCodes.refused);
    expect(ran.stderr).toContain(
      'vm:0000-web is being worked on by migrateVolume since 1970-01-01T00:00:00.000Z: copying vda',
    );
    expect(ran.stderr).toContain('http://ui/namespaces/default/workflows/vm%3A0000-web/run-1');
    const json = await run(['vm', 'restart', 'web', '--json'], { open });
    expect(JSON.parse(json.stdout)).toMatchObject({
      answer: 'busy',
      type: 'migrateVolume',
      incidentId: other,
    });
  });

  it('Temporal out of reach: exit 6, and what to start', async () => {
    const path = configFile('far.yaml', { temporal: { address: '127.0.0.1:1' } });
    const env = { VMEDIC_INVENTORY_URL: 'postgresql://localhost:1/none' };
    const ran = await run(['status', '--config', path], { env });
    expect(ran.exit).toBe(exitCodes.unreachable);
    const { connectTemporal } = await import('../../client/temporal');
    await expect(connectTemporal({ address: '127.0.0.1:1', namespace: 'default' })).rejects.toMatchObject({
      kind: 'unreachable',
      message: 'Temporal does not answer on 127.0.0.1:1',
    });
  });

  it('the inventory out of reach: exit 6', async () => {
    const gone = inventory({
      vms: () => Promise.reject(new DriverFault('INVENTORY_UNREACHABLE', { detail: 'refused' })),
    });
    const ran = await run(['vm', 'list', '--json'], { open: session(gone) });
    expect(ran.exit).toBe(exitCodes.unreachable);
    expect(JSON.parse(ran.stdout)).toMatchObject({ error: { code: 'INVENTORY_UNREACHABLE' } });
  });

  it('a config whose system does not run: exit 6 and the command that starts it', async () => {
    const path = configFile('idle.yaml', {});
    const ran = await run(['status', '--config', path]);
    expect(ran.exit).toBe(exitCodes.unreachable);
    expect(ran.stderr).toContain(`vmedic up --config ${path}`);
  });

  it('no config anywhere, an unknown command, a missing reason: exit 2', async () => {
    const ends = await Promise.all([
      run(['status']),
      run(['hots']),
      run(['incident', 'abort', 'host-hv-a-1']),
      run([]),
    ]);
    expect(ends.map((e) => e.exit)).toEqual([2, 2, 2, 2]);
    expect(ends[0].stderr).toContain('vmedic lab up');
    expect(ends[1].stderr).toContain('Did you mean host?');
    expect(ends[2].stderr).toContain('--reason');
  });

  it('an order to an incident that is closed: refused, with its end', async () => {
    const closed = incident({ closedAt: now(), summary: 'all VMs run again' });
    const reads = inventory({ incident: () => Promise.resolve(closed) });
    const ran = await run(['incident', 'abort', 'host-hv-a-1', '--reason', 'no'], {
      open: session(reads, busyClient('x', {})),
    });
    expect(ran.exit).toBe(exitCodes.refused);
    expect(ran.stderr).toContain('all VMs run again');
  });

  it('a defect shows its stack only to those who ask', async () => {
    const broken = inventory({ vms: () => Promise.reject(new TypeError('undefined is not a VM')) });
    const ran = await run(['vm', 'list'], { open: session(broken) });
    expect(ran.exit).toBe(exitCodes.defect);
    expect(ran.stderr).toContain('VMEDIC_DEBUG=1');
  });
});

const leaves = (command: Command): Command[] =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);

describe('every command', () => {
  const io: Io = {
    env: {},
    cwd: folder,
    live: false,
    color: false,
    stdout: () => undefined,
    stderr: () => undefined,
  };
  const program = buildProgram({ io, openSession: session(inventory()), exit: exitCodes.done });
  const paths = leaves(program).map((leaf) => {
    const names = [leaf.name()];
    for (let up = leaf.parent; up?.parent != null; up = up.parent) names.unshift(up.name());
    return names;
  });

  it.each(paths.map((path) => [path.join(' '), path] as const))(
    '%s: --help has an example of it and the exit codes',
    async (name, path) => {
      const ran = await run([...path, '--help']);
      expect(ran.exit).toBe(exitCodes.done);
      expect(ran.stdout).toMatch(new RegExp(`Examples:\\n(.*\\n)*?  \\$ .*vmedic ${name}`));
      expect(ran.stdout).toContain('Exit codes:');
      expect(ran.stdout).toContain('--json');
    },
  );

  it('is there as promised', () => {
    expect(paths.map((path) => path.join(' ')).sort()).toEqual(
      [
        ...[
          'up',
          'down',
          'worker',
          'demo',
          'status',
          'lab up',
          'lab down',
          'lab status',
          'config check',
          'config schema',
        ],
        ...['host list', 'host show', 'host recover', 'host fence', 'vm list', 'vm show', 'vm restart'],
        ...['list', 'show', 'watch', 'attest-fenced', 'approve', 'hold', 'resume', 'resolve', 'abort'].map(
          (n) => `incident ${n}`,
        ),
      ].sort(),
    );
  });
});

describe('--json', () => {
  it.each([
    ['host list'],
    ['host show hv-a'],
    ['host show hv-x'],
    ['vm list'],
    ['vm show web'],
    ['incident list'],
    ['incident show host-hv-a-1'],
    ['config schema'],
    ['vm restart'],
    ['no such command'],
  ])('is one document on stdout and nothing else there: %s', async (line) => {
    const reads = inventory({ incident: () => Promise.resolve(incident()) });
    const ran = await run([...line.split(' '), '--json'], { open: session(reads) });
    expect(typeof JSON.parse(ran.stdout)).toBe('object');
  });
});

describe('status', () => {
  const seen = (more: Partial<Parameters<typeof troublesOf>[0]> = {}) =>
    troublesOf({
      fleet,
      hosts: [host('hv-a'), host('hv-b')],
      vms: [vm('web')],
      open: [],
      alerts: [],
      unpolled: [],
      ...more,
    });

  it('has nothing to say when everything is well', () => {
    expect(seen()).toEqual([]);
  });

  it('names each trouble once, with the next command', () => {
    const troubles = seen({
      hosts: [host('hv-a', { lastSeenAt: new Date(0).toISOString() }), host('hv-b', { standing: 'fenced' })],
      vms: [
        vm('web', { hostId: hostId('hv-b'), observed: { state: 'crashed', reason: 'panic', at: now() } }),
      ],
      open: [incident({ nextCommand: 'vmedic incident approve host-hv-a-1 --reason "..."', phase: 'held' })],
      unpolled: ['vmedic-power'],
    });
    expect(troubles.map((t) => [t.what, t.next])).toEqual([
      [
        expect.stringContaining('no worker takes work from the queue "vmedic-power"'),
        'vmedic up, or vmedic worker',
      ],
      [
        expect.stringContaining('incident host-hv-a-1 is held'),
        'vmedic incident approve host-hv-a-1 --reason "..."',
      ],
      ['host hv-b is fenced and takes no VMs', 'vmedic host show hv-b'],
      ['VM web is to run and is crashed (panic) on hv-b', 'vmedic vm restart web'],
    ]);
  });

  it('a host that is not seen any more is named with how long', () => {
    const old = new Date(Date.now() - 300_000).toISOString();
    expect(seen({ hosts: [host('hv-a', { lastSeenAt: old }), host('hv-b')] })).toEqual([
      { what: 'host hv-a does not answer', since: old, next: 'vmedic host show hv-a' },
    ]);
  });
});

describe('the exit code of what was waited for', () => {
  const result = (outcome: string): Ending =>
    ({ kind: 'finished', result: { outcome, vms: [], would: [], sentence: '' } }) as unknown as Ending;

  it.each([
    ['recovered', result('recovered'), exitCodes.done],
    ['dismissed: the host lives', result('dismissed'), exitCodes.done],
    ['partly recovered', result('partially-recovered'), exitCodes.partly],
    ['aborted', result('aborted'), exitCodes.partly],
    ['waiting for a person', { kind: 'waits', incident: incident() }, exitCodes.waits],
    [
      'given up as stuck',
      { kind: 'failed', type: 'RecoveryStuck', sentence: '', vm: undefined },
      exitCodes.waits,
    ],
    [
      'taken back',
      { kind: 'failed', type: 'RecoveryCompensated', sentence: '', vm: undefined },
      exitCodes.partly,
    ],
  ])('%s', (_, ending, code) => {
    expect(codeOf(ending)).toBe(code);
  });
});

describe("the demo's verdict", () => {
  const before = [
    { name: 'a', host: 'hv-a' },
    { name: 'b', host: 'hv-b' },
  ];
  const good = [
    { name: 'a', runsOn: ['hv-b'], boots: 2, oracle: 'CLEAN', why: undefined },
    { name: 'b', runsOn: ['hv-b'], boots: 1, oracle: 'CLEAN', why: undefined },
  ] as const;
  const wrongs = (seen: Parameters<typeof judge>[2]): string[] =>
    judge(before, 'hv-a', seen, new Map()).flatMap((line) => [...line.wrong]);

  it('is good when each runs exactly once, where it may', () => {
    expect(wrongs(good)).toEqual([]);
  });

  it.each([
    ['runs nowhere', { runsOn: [] }],
    ['runs on 2 hosts at once', { runsOn: ['hv-b', 'hv-c'] }],
    ['runs on hv-a, which has no power', { runsOn: ['hv-a'] }],
    ['was booted 3 times, not 2', { boots: 3 }],
    ['its disk is VIOLATION: two writers', { oracle: 'VIOLATION' as const, why: 'two writers' }],
    ['its disk is UNKNOWN: torn', { oracle: 'UNKNOWN' as const, why: 'torn' }],
  ])('complains when a VM %s', (complaint, change) => {
    expect(wrongs([{ ...good[0], ...change }, good[1]])).toEqual([complaint]);
  });

  it('complains of a VM that was moved though its host is well, and of one that was not looked at', () => {
    expect(wrongs([good[0], { ...good[1], runsOn: ['hv-c'] }])).toEqual([
      'was moved from hv-b, which is well',
    ]);
    expect(wrongs([good[0]])).toContain('runs nowhere');
  });
});

describe('an ID that nobody holds', () => {
  it('is started with conflict FAIL and the incident in its memo', async () => {
    const started: unknown[] = [];
    const client = {
      withDeadline: (_: number, ask: () => Promise<unknown>) => ask(),
      workflow: {
        start: (type: string, options: object) => {
          started.push(type, options);
          return Promise.resolve({ firstExecutionRunId: 'run-1' });
        },
        getHandle: (workflowId: string) => ({
          describe: () => Promise.reject(new WorkflowNotFoundError('none', workflowId, undefined)),
        }),
      },
    } as unknown as Client;
    const ran = await run(['host', 'recover', 'hv-a', '--reason', 'no *power*', '--json'], {
      open: session(inventory(), client),
    });
    expect(ran.exit).toBe(exitCodes.done);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      answer: 'started',
      incidentId: 'host-hv-a-1',
      workflowId: 'host:hv-a',
    });
    expect(started[0]).toBe('recoverHost');
    expect(started[1]).toMatchObject({
      ...{
        workflowId: 'host:hv-a',
        taskQueue: 'vmedic',
        workflowIdConflictPolicy: 'FAIL',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      },
      memo: { incidentId: 'host-hv-a-1', reason: 'no *power*' },
      staticSummary: 'Recover host hv-a',
      staticDetails: expect.stringContaining('no \\*power\\*') as unknown,
    });
  });
});
