/** What people change by hand: refused with the way out, written to the audit trail before it is done, and shown. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { AdministrationRows } from '../../client/administration';
import { exitCodes } from '../../client/cli/exit-codes';
import { DriverFault } from '../../domain/faults';
import type { ArmSwitch, HostRecord } from '../../domain/records';
import { host, incident, inventory, now, run, session, vm } from '../support/command-line';

interface Written {
  readonly did: string[];
  readonly rows: Partial<AdministrationRows>;
}

function written(more: Partial<AdministrationRows> = {}): Written {
  const did: string[] = [];
  const note = (text: string): void => void did.push(text);
  return {
    did,
    rows: {
      noteAudit: (e) => (
        note(`audit ${e.who} ${e.via} ${e.action} ${e.target}: ${e.reason}`),
        Promise.resolve(1)
      ),
      noteAuditAnswer: (_, answer) => (note(answer), Promise.resolve()),
      setSwitch: (s) => (note(`${s.scope} ${s.armed ? 'armed' : 'disarmed'}`), Promise.resolve()),
      updateHost: (id, _, change) => (note(`${id} ${JSON.stringify(change)}`), Promise.resolve(host(id))),
      vm: () => Promise.resolve(vm('web')),
      updateVm: (_, version, change) => (
        note(`v${version} ${JSON.stringify(change)}`),
        Promise.resolve(vm('web'))
      ),
      ...more,
    },
  };
}

const off: ArmSwitch = { scope: 'fleet', armed: false, by: 'alice', reason: 'new switches', at: now() };
const noRuns = {
  withDeadline: (_: number, ask: () => Promise<unknown>) => ask(),
  workflow: {
    getHandle: () => ({ describe: () => Promise.reject(new WorkflowNotFoundError('none', 'x', undefined)) }),
    start: () => Promise.reject(new Error('nothing may be started')),
  },
} as unknown as Client;

it('disarms the whole fleet or one cluster, after it is in the audit trail, and names the way back', async () => {
  const { did, rows } = written();
  const open = session(inventory(), undefined, rows);
  const whole = await run(['disarm', '--reason', 'new switches', '--by', 'alice'], { open });
  const one = await run(['disarm', '--cluster', 'one', '--reason', 'x', '--by', 'alice'], { open });
  expect([whole.exit, one.exit]).toEqual([exitCodes.done, exitCodes.done]);
  expect(whole.stdout).toContain('vmedic arm --reason');
  expect(one.stdout).toContain('vmedic arm --cluster one');
  expect(did).toEqual([
    ...['audit alice command-line disarm fleet: new switches', 'fleet disarmed', 'done'],
    ...['audit alice command-line disarm one: x', 'one disarmed', 'done'],
  ]);
});

it('refuses to disarm a cluster that is not there, and a switch thrown without a reason', async () => {
  const { did, rows } = written();
  const open = session(inventory(), undefined, rows);
  const unknown = await run(['disarm', '--cluster', 'two', '--reason', 'x'], { open });
  expect(unknown.exit).toBe(exitCodes.usage);
  expect(unknown.stderr).toContain('There is no cluster two in the config; known: one');
  expect((await run(['arm'], { open })).exit).toBe(exitCodes.usage);
  expect(did).toEqual([]);
});

it('refuses every start while it is disarmed, with who did it, why, and the command that ends it', async () => {
  const reads = inventory({ switches: () => Promise.resolve([off]) });
  const ran = await run(['host', 'recover', 'hv-a'], { open: session(reads, noRuns) });
  expect(ran.exit).toBe(exitCodes.refused);
  expect(ran.stderr).toContain('alice has disarmed the whole fleet');
  expect(ran.stderr).toContain('next: vmedic arm --reason');
});

it('protects a VM again after somebody changed its record meanwhile', async () => {
  let tries = 0;
  const { did, rows } = written({
    updateVm: () => {
      tries += 1;
      if (tries === 1) throw new DriverFault('RECORD_CHANGED', { what: 'web' });
      return Promise.resolve(vm('web'));
    },
  });
  const open = session(inventory(), undefined, rows);
  const ran = await run(['vm', 'protect', 'web', '--reason', 'it matters', '--by', 'bob'], { open });
  expect(ran.exit).toBe(exitCodes.done);
  expect(tries).toBe(2);
  expect(did).toEqual(['audit bob command-line protect 0000-web: it matters', 'done']);
});

it('begins maintenance of a host in service, and ends it by forgetting the boot it was known by', async () => {
  let standing: HostRecord['standing'] = 'in-service';
  const { did, rows } = written();
  const reads = inventory({ host: () => Promise.resolve(host('hv-a', { standing })) });
  const open = session(reads, undefined, rows);
  expect((await run(['host', 'maintenance', 'hv-a', '--reason', 'memory'], { open })).exit).toBe(
    exitCodes.done,
  );
  standing = 'maintenance';
  const ended = await run(['host', 'maintenance', 'hv-a', '--end', '--reason', 'done'], { open });
  expect(ended.stdout).toContain('in service again');
  expect(did.filter((d) => d.startsWith('hv-a'))).toEqual([
    'hv-a {"standing":"maintenance"}',
    'hv-a {"standing":"in-service"}',
  ]);
});

it.each([
  ['an incident of it is open', {}, { open: true }, 'vmedic incident show host-hv-a-1'],
  ['it is quarantined', { standing: 'quarantined' }, {}, 'vmedic host readmit hv-a'],
] as const)(
  'refuses maintenance of a host while %s, and audits the refusal',
  async (why, record, also, next) => {
    const { did, rows } = written();
    const reads = inventory({
      host: () => Promise.resolve(host('hv-a', record)),
      incidents: () => Promise.resolve('open' in also ? [incident()] : []),
    });
    const ran = await run(['host', 'maintenance', 'hv-a', '--reason', 'memory'], {
      open: session(reads, undefined, rows),
    });
    expect(ran.exit).toBe(exitCodes.refused);
    expect(ran.stderr).toContain(next);
    expect(why.length).toBeGreaterThan(0);
    expect(did.at(-1)).toBe('refused: HOST_NOT_FREE');
  },
);
