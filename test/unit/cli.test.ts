import { rmSync } from 'node:fs';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Command } from 'commander';
import { exitCodes } from '../../client/cli/exit-codes';
import { buildProgram } from '../../client/cli/main';
import type { Io } from '../../client/cli/io';
import { DriverFault } from '../../domain/faults';
import { hostId, incidentId, vmId } from '../../domain/ids';
import {
  busyClient,
  configFile,
  folder,
  hvA,
  incident,
  inventory,
  now,
  run,
  session,
  vm,
} from '../support/command-line';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('has the steps of a repair for a VM whose guest did not get well, and for no other', async () => {
  const alert = {
    ...{ key: `guest-degraded:${vm('web').vmId}`, severity: 'warning' as const, sentence: 'web is not well' },
    ...{ incidentId: undefined, nextCommand: undefined, raisedAt: now(), clearedAt: undefined },
  };
  const open = session(inventory({ alerts: () => Promise.resolve([alert]) }));
  expect((await run(['vm', 'show', 'web'], { open })).stdout).toContain(
    '1. vmedic vm unprotect web --reason',
  );
  expect((await run(['vm', 'show', 'db'], { open })).stdout).not.toContain('unprotect');
  const { stdout } = await run(['vm', 'show', 'web', '--json'], { open });
  expect((JSON.parse(stdout) as { repair: string[] }).repair.length).toBeGreaterThan(2);
});

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

  it('nothing is called an error twice', async () => {
    const path = configFile('twice.yaml', { version: 2 });
    for (const line of [['host', 'list', '--config', path], ['lab', 'up', '--hosts', '0'], ['hsot']]) {
      const ran = await run(line);
      expect(ran.exit).toBe(exitCodes.usage);
      for (const said of ran.stderr.split('\n')) expect(said.split('error:').length).toBeLessThanOrEqual(2);
    }
  });

  it('a lab of no hosts, or of more than there are letters', async () => {
    for (const hosts of ['0', '27', '-1', 'x']) {
      const ran = await run(['lab', 'up', '--hosts', hosts]);
      expect([hosts, ran.exit]).toEqual([hosts, exitCodes.usage]);
      expect(ran.stderr).toContain('a lab has 1 to 26 hosts');
    }
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
          'doctor vcenter',
        ],
        ...[
          'host list',
          'host show',
          'host recover',
          'host fence',
          'host release-locks',
          'host readmit',
          'host maintenance',
        ],
        ...[
          'vm list',
          'vm show',
          'vm restart',
          'vm start',
          'vm stop',
          'vm migrate-volume',
          'vm repair',
          'vm protect',
          'vm unprotect',
          'volume move',
          'arm',
          'disarm',
          'readiness',
        ],
        ...['alert list', 'alert acknowledge'],
        ...['server', 'setup', 'token create', 'token list', 'token revoke'],
        ...['acknowledge', 'export', 'verify'].map((n) => `incident ${n}`),
        ...['list', 'show', 'watch', 'attest-fenced', 'approve', 'hold', 'resume', 'resolve', 'abort'].map(
          (n) => `incident ${n}`,
        ),
      ].sort(),
    );
  });
});

it('help says what --help says, of all and of one command', async () => {
  expect((await run(['help'])).stdout).toBe((await run(['--help'])).stdout);
  expect((await run(['help', 'status'])).stdout).toBe((await run(['status', '--help'])).stdout);
  expect((await run(['help'])).exit).toBe(exitCodes.done);
});

it('a list of incidents names the host or the VM that each is about', async () => {
  const lone = incidentId({ kind: 'vm', vmId: vm('web').vmId }, 2);
  const reads = inventory({
    vms: () => Promise.resolve([vm('web')]),
    incidents: () =>
      Promise.resolve([
        incident(),
        incident({ incidentId: lone, target: { kind: 'vm', vmId: vm('web').vmId }, epoch: 2 }),
      ]),
  });
  const { stdout } = await run(['incident', 'list'], { open: session(reads) });
  expect(stdout).toContain('host hv-a');
  expect(stdout).toContain('VM web');
});

it('VMs are listed in the order in which people count', async () => {
  const reads = inventory({ vms: () => Promise.resolve(['vm-10', 'vm-9', 'vm-1'].map((name) => vm(name))) });
  const { stdout } = await run(['vm', 'list', '--json'], { open: session(reads) });
  const { vms } = JSON.parse(stdout) as { vms: { name: string }[] };
  expect(vms.map((v) => v.name)).toEqual(['vm-1', 'vm-9', 'vm-10']);
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
