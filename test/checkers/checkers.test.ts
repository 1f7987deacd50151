import { type Effect, type JournalEntry, controlsOf } from '../../drivers/simulated';
import type { StartPermit } from '../../domain/evidence';
import type { HostVmList, PowerReading } from '../../domain/observations';
import type { AlertRecord } from '../../domain/records';
import type { Facts } from './facts';
import {
  begin,
  dead,
  fence,
  incident,
  permit,
  recordOn,
  recoverByTheBook,
  type Run,
  target,
  victim,
} from './honest-run';
import { asText, checkers, judge } from './judge';

const forever = new AbortController().signal;
let run: Run;
beforeEach(async () => {
  run = await begin();
});

/** The checkers, by name, that have something to say. */
const whoComplains = (facts: Facts): string[] => {
  const names = Object.entries(checkers)
    .filter(([, check]) => check(facts).length > 0)
    .map(([name]) => name);
  for (const name of names) haveComplained.add(name);
  return names;
};
const haveComplained = new Set<string>();

const doctored = (facts: Facts, change: (entry: JournalEntry) => JournalEntry | undefined): Facts => ({
  ...facts,
  journal: facts.journal.map(change).filter((e) => e !== undefined),
});

const isOurStart = (e: JournalEntry): e is Extract<JournalEntry, { effect: 'process-started' }> =>
  e.kind === 'effect' && e.effect === 'process-started' && e.by === 'port';

const withEffect = (facts: Facts, effect: Effect): Facts => ({
  ...facts,
  journal: [...facts.journal, { kind: 'effect', seq: facts.world.seq + 1, at: facts.world.at, ...effect }],
});

it('finds nothing in a recovery by the book', async () => {
  await recoverByTheBook(run);
  expect(asText(judge(run.facts()))).toEqual([]);
});

it('finds nothing in a world where nothing happened', () => {
  expect(asText(judge(run.facts()))).toEqual([]);
});

describe('no VM on two hosts at once', () => {
  it('reports a second process beside the first, and its writes', async () => {
    const controls = controlsOf(run.world);
    const { vmId, name } = victim(run);
    const text = run.world.host(dead).definitions.get(vmId)!.text;
    controls.removeLock(victim(run).shape.disks[0]!.path);
    controls.defineByHand(target, vmId, name, text);
    controls.startByHand(target, vmId);
    expect(whoComplains(run.facts())).toEqual(expect.arrayContaining(['oneProcess', 'oneRunPerBoot']));
  });

  it('reports a host that wakes up after its VM ran and ended elsewhere', async () => {
    const controls = controlsOf(run.world);
    const { vmId, name } = victim(run);
    const text = run.world.host(dead).definitions.get(vmId)!.text;
    controls.freeze(dead);
    controls.removeLock(victim(run).shape.disks[0]!.path);
    controls.defineByHand(target, vmId, name, text);
    controls.startByHand(target, vmId);
    controls.destroyByHand(target, vmId);
    expect(checkers['oneRunPerBoot']?.(run.facts())).toEqual([]);
    controls.thaw(dead);
    expect(whoComplains(run.facts())).toEqual(expect.arrayContaining(['oneProcess', 'oneRunPerBoot']));
  });

  it('says nothing against a live migration', async () => {
    controlsOf(run.world).migrateByHand(dead, target, victim(run).vmId);
    recordOn(run, target);
    expect(asText(judge(run.facts()))).toEqual([]);
  });
});

describe('no start without a permit', () => {
  const altered = async (change: (permit: StartPermit) => StartPermit | undefined): Promise<string[]> => {
    await recoverByTheBook(run);
    return whoComplains(
      doctored(run.facts(), (e) => (isOurStart(e) ? { ...e, permit: change(e.permit!) } : e)),
    );
  };

  it('reports a start that carried none', async () => {
    expect(await altered(() => undefined)).toContain('startsHavePermits');
  });

  it('reports a permit for another target', async () => {
    expect(await altered((p) => ({ ...p, target: dead }))).toContain('startsHavePermits');
  });

  it('reports a permit that had aged when it was used', async () => {
    await recoverByTheBook(run);
    const old = (p: StartPermit): StartPermit => ({ ...p, issuedAt: '2020-01-01T00:00:00.000Z' });
    const facts = doctored(run.facts(), (e) => {
      if (isOurStart(e)) return { ...e, permit: old(e.permit!) };
      if (e.kind === 'call' && e.call === 'start')
        return { ...e, args: [old(e.args[0] as StartPermit), ...e.args.slice(1)] };
      return e;
    });
    expect(whoComplains(facts)).toContain('startsHavePermits');
  });

  it('reports a start that nobody asked for', async () => {
    await recoverByTheBook(run);
    const facts = doctored(run.facts(), (e) => (e.kind === 'call' && e.call === 'start' ? undefined : e));
    expect(whoComplains(facts)).toContain('startsHavePermits');
  });
});

describe('no start without evidence or lists that precede it', () => {
  const without = async (gone: (e: JournalEntry) => boolean): Promise<string[]> => {
    await recoverByTheBook(run);
    return whoComplains(doctored(run.facts(), (e) => (gone(e) ? undefined : e)));
  };

  it('reports a list that was never read', async () => {
    expect(
      await without((e) => e.kind === 'answer' && e.call === 'list' && e.port === 'hypervisor'),
    ).toContain('permitsRestOnFacts');
  });

  it('reports a power reading that was never taken', async () => {
    expect(await without((e) => e.kind === 'answer' && e.call === 'status')).toContain('permitsRestOnFacts');
  });

  it('reports a reading that came only after the start', async () => {
    await recoverByTheBook(run);
    const facts = doctored(run.facts(), (e) =>
      e.kind === 'answer' && e.call === 'status' ? { ...e, seq: 1_000_000 } : e,
    );
    expect(whoComplains(facts)).toEqual(
      expect.arrayContaining(['permitsRestOnFacts', 'evidencePrecedesRelease']),
    );
  });

  it('reports a list that showed the VM paused', async () => {
    await recoverByTheBook(run);
    const { vmId, name } = victim(run);
    const paused = { vmId, name, state: 'paused', reason: 'user', persistent: true } as const;
    const facts = doctored(run.facts(), (e) =>
      e.kind === 'answer' && e.call === 'list' && e.port === 'hypervisor'
        ? { ...e, answer: { ...(e.answer as HostVmList), vms: [paused] } }
        : e,
    );
    expect(whoComplains(facts)).toContain('permitsRestOnFacts');
  });

  it('reports that the host it ran on last was not accounted for', async () => {
    await recoverByTheBook(run);
    const facts = doctored(run.facts(), (e) =>
      isOurStart(e)
        ? { ...e, permit: { ...e.permit!, accounts: e.permit!.accounts.filter((a) => a.hostId !== dead) } }
        : e,
    );
    expect(whoComplains(facts)).toContain('permitsRestOnFacts');
  });
});

describe('locks and evidence', () => {
  it('reports a lock that was released while its owner ran', async () => {
    await recoverByTheBook(run);
    const facts = doctored(run.facts(), (e) =>
      e.kind === 'effect' && e.effect === 'lock-released' ? { ...e, ownerAlive: true } : e,
    );
    expect(whoComplains(facts)).toEqual(['noLiveHostsLockReleased']);
  });

  it('reports a lock that was released on evidence about another host', async () => {
    await recoverByTheBook(run);
    const facts = doctored(run.facts(), (e) =>
      e.kind === 'effect' && e.effect === 'lock-released' ? { ...e, owner: 'hv-c' } : e,
    );
    expect(whoComplains(facts)).toContain('noLiveHostsLockReleased');
  });

  it('reports a release by a fence that lies about its power', async () => {
    controlsOf(run.world).setDevice(run.world.spec.devices[0]!.id, { mode: 'claims-off' });
    const evidence = await fence(run);
    const pool = run.world.spec.pools[0]!.id;
    const images = [victim(run).shape.disks[0]!.path];
    const { locks } = await run.ports.storageLocks.list(pool, images, evidence.hostId, forever);
    await run.ports.storageLocks.release(pool, locks, evidence, forever);
    expect(whoComplains(run.facts())).toEqual(['noLiveHostsLockReleased']);
  });

  it('reports evidence that was made from a reading other than "off"', async () => {
    await recoverByTheBook(run);
    const facts = doctored(run.facts(), (e) =>
      e.kind === 'answer' && e.call === 'status'
        ? { ...e, answer: { ...(e.answer as PowerReading), power: 'on' } }
        : e,
    );
    expect(whoComplains(facts)).toContain('unknownIsNeverOff');
  });

  it('reports a host that is recorded as fenced and has no evidence', () => {
    const hosts = run.rows.hosts.map((h) => ({ ...h, standing: 'fenced' as const }));
    run.rows = { ...run.rows, hosts };
    expect(whoComplains(run.facts())).toEqual(['unknownIsNeverOff']);
  });
});

describe('record = reality', () => {
  it('reports a VM that runs elsewhere than recorded', async () => {
    await recoverByTheBook(run);
    recordOn(run, dead);
    expect(whoComplains(run.facts())).toContain('recordIsReality');
  });

  it('reports a VM that is to run and does not, unless its end was told', async () => {
    await fence(run);
    expect(whoComplains(run.facts())).toEqual(['recordIsReality']);
    expect(whoComplains({ ...run.facts(), excused: { [victim(run).vmId]: 'compensated' } })).toEqual([]);
  });

  it('reports a VM that was started on its old disk', async () => {
    await recoverByTheBook(run);
    const name = victim(run).name;
    const vms = run.rows.vms.map((v) =>
      v.name === name
        ? {
            ...v,
            shape: { ...v.shape, disks: v.shape.disks.map((d) => ({ ...d, path: `${d.path}.moved` })) },
          }
        : v,
    );
    run.rows = { ...run.rows, vms };
    expect(whoComplains(run.facts())).toEqual(['recordIsReality']);
  });
});

describe('nothing of ours left behind', () => {
  const room = (): void => {
    const { vmId } = victim(run);
    const reservations = [{ vmId, hostId: target, incidentId: incident, memoryMiB: 4, vcpus: 1 }];
    run.rows = { ...run.rows, reservations };
  };

  it('reports room that a closed incident keeps, and none of an open one', async () => {
    await recoverByTheBook(run);
    room();
    expect(whoComplains(run.facts())).toEqual([]);
    const incidents = run.rows.incidents.map((i) => ({ ...i, outcome: 'recovered' as const }));
    run.rows = { ...run.rows, incidents };
    expect(whoComplains(run.facts())).toEqual(['nothingLeftBehind']);
  });

  it('reports a definition where the VM is not recorded, and not on the fenced host', async () => {
    await recoverByTheBook(run);
    recordOn(run, dead);
    const left = checkers['nothingLeftBehind']?.(run.facts()) ?? [];
    expect(asText(left)).toEqual([expect.stringContaining('hv-b has a definition of vm-001')]);
  });

  it('reports a volume that was activated for a start that never came', async () => {
    run = await begin({ storage: 'lvm' });
    const evidence = await fence(run);
    await run.ports.volumes.makeReady(await permit(run, evidence), victim(run).shape.disks, forever);
    const facts = { ...run.facts(), excused: { [victim(run).vmId]: 'compensated' as const } };
    expect(whoComplains(facts)).toEqual(['nothingLeftBehind']);
  });
});

describe('a host in service', () => {
  it('is reported while its storage takes no write of it', async () => {
    run = await begin({ storage: 'nfs', cutAccess: true });
    const pool = run.world.spec.pools[0]!.id;
    await run.ports.storageAccess.cut(pool, target, forever);
    expect(whoComplains(run.facts())).toEqual(['nothingLeftBehind']);
    await run.ports.storageAccess.restore(pool, target, forever);
    expect(whoComplains(run.facts())).toEqual([]);
  });
});

describe('alerts once per key', () => {
  const alert: AlertRecord = {
    ...{ key: 'blocked-unfenced:hv-a', severity: 'critical', sentence: 'hv-a cannot be fenced' },
    ...{ nextCommand: undefined, incidentId: incident, raisedAt: '2026-01-01T00:00:00.000Z' },
    clearedAt: undefined,
  };
  const told = (...alerts: AlertRecord[]): Facts =>
    alerts.reduce((facts, a) => withEffect(facts, { effect: 'alert-delivered', alert: a }), run.facts());
  const over = { ...alert, clearedAt: '2026-01-01T00:01:00.000Z' };

  it('reports an alert that was told twice', () => {
    expect(whoComplains(told(alert, alert))).toEqual(['alertsOnce']);
  });

  it('reports an end that was told twice', () => {
    expect(whoComplains(told(alert, over, over))).toEqual(['alertsOnce']);
  });

  it('says nothing against an alert that was raised again after its end', () => {
    expect(whoComplains(told(alert, over, alert))).toEqual([]);
  });
});

it('has, over all tests above, seen every checker complain at least once', () => {
  expect([...haveComplained].sort()).toEqual(Object.keys(checkers).sort());
});
