/**
 * What a vCenter says, and what is so. Each row is a way in which one has been seen to lie; the truth is read from the file system by a
 * reader of its own.
 */
import type { MoveKnown } from '../../activities/ports';
import type { BeforeImage, MoveOrder, MoveVerdict } from '../../domain/volume-move';
import type { RelocationPlan } from '../../lab/vsphere/simulator';
import { describeOnVcenter, esx, pool, startVcenter, vsphereOptions } from '../support/vcenter';
import { everyContent } from '../support/vcenter-files';
import { createVsphere } from '../../drivers/vsphere';
import { notAborted } from './contract';
import { openVcenter, type VcenterWorld } from './vcenter-subjects';

const known: MoveKnown = { proofs: [], switchAsked: false };
const target = pool('LocalDS_1');

interface Case {
  readonly world: VcenterWorld;
  readonly name: string;
  readonly before: BeforeImage;
}

let world: VcenterWorld;
let contents: string[];
beforeEach(async () => {
  world = await openVcenter(1);
});
afterEach(() => world.close());

const orderOf = async (name: string, to = target): Promise<MoveOrder> => {
  const vm = (await world.sim.state()).vms[name];
  if (vm === undefined) throw new Error(`${name} is not in the inventory`);
  const disks = vm.disks.map((d) => ({ disk: d.uuid, to }));
  return { attempt: `t${process.pid}`, vmId: vm.instanceUuid as never, hostId: esx(vm.host), disks };
};

async function prepared(disks = 2): Promise<Case> {
  const [a] = Object.keys(world.state.hosts).map(esx);
  const { name } = await world.fresh(a as never, disks);
  const said = await world.vsphere.volumeMoves.preflight(await orderOf(name), notAborted());
  if (said.kind !== 'ready') throw new Error(said.faults.map((f) => f.sentence).join('; '));
  contents = everyContent(world.state);
  return { world, name, before: said.before };
}

async function submitted({ before }: Case, direction: 'there' | 'back' = 'there') {
  const said = await world.vsphere.volumeMoves.submit(before, direction, notAborted());
  if (said.kind !== 'accepted') throw new Error(`${said.kind}: ${said.fault.sentence}`);
  return said.task;
}

async function ended({ before }: Case, task: { id: string }): Promise<string> {
  for (;;) {
    const state = await world.vsphere.volumeMoves.follow(before, task, 5_000, notAborted());
    if (state.kind !== 'running') return state.kind === 'ended' ? state.says : state.kind;
  }
}

const classified = ({ before }: Case): Promise<MoveVerdict> =>
  world.vsphere.volumeMoves.classify(before, known, notAborted());

/** Where the disks are by the simulator's memory and the file system, and that nothing of what there was is gone. */
async function truth(name: string): Promise<string> {
  const { vms, datastores } = await world.sim.state();
  expect(everyContent({ datastores })).toEqual(expect.arrayContaining(contents));
  const vm = vms[name];
  if (vm === undefined) return 'VM_MISSING';
  const there = vm.disks.map((d) => {
    const [, store = '', path = ''] = /^\[(.*)\] (.*)$/.exec(d.file) ?? [];
    const listed = datastores.find((s) => s.name === store)?.files.includes(path) === true;
    return listed ? store === 'LocalDS_1' : undefined;
  });
  if (there.includes(undefined)) return 'DISK_MISSING';
  return there.every(Boolean) ? 'MOVED' : there.some(Boolean) ? 'PARTIAL' : 'NOT_MOVED';
}

const leftoversOf = (verdict: MoveVerdict) => ('leftovers' in verdict ? verdict.leftovers : []);

interface Row {
  readonly plan: RelocationPlan;
  readonly says: 'done' | 'failed';
  readonly verdict: MoveVerdict['kind'];
  /** Where the driver knows less than the simulator, which is never wrong. */
  readonly really?: MoveVerdict['kind'];
  readonly copies?: number;
  readonly sources?: number;
}

const rows: readonly Row[] = [
  { plan: { preset: 'move' }, says: 'done', verdict: 'MOVED' },
  { plan: { preset: 'stock' }, says: 'done', verdict: 'NOT_MOVED' },
  { plan: { preset: 'lie' }, says: 'done', verdict: 'NOT_MOVED' },
  { plan: { preset: 'ghost' }, says: 'done', verdict: 'DISK_MISSING' },
  { plan: { preset: 'partial' }, says: 'done', verdict: 'PARTIAL' },
  { plan: { preset: 'partial-error' }, says: 'failed', verdict: 'PARTIAL' },
  { plan: { preset: 'fail' }, says: 'failed', verdict: 'NOT_MOVED' },
  { plan: { preset: 'fail', fault: 'Timedout' }, says: 'failed', verdict: 'NOT_MOVED' },
  { plan: { preset: 'fail-after-copy' }, says: 'failed', verdict: 'NOT_MOVED', copies: 2 },
  { plan: { preset: 'no-space' }, says: 'failed', verdict: 'NOT_MOVED', copies: 1 },
  { plan: { preset: 'moved-but-error' }, says: 'failed', verdict: 'MOVED' },
  { plan: { preset: 'keep-source' }, says: 'done', verdict: 'MOVED', sources: 2 },
  { plan: { preset: 'orphaned' }, says: 'done', verdict: 'UNKNOWN', really: 'MOVED' },
  { plan: { preset: 'unregistered-before' }, says: 'failed', verdict: 'VM_MISSING' },
  { plan: { preset: 'unregistered-during' }, says: 'failed', verdict: 'VM_MISSING' },
  { plan: { preset: 'unregistered-after' }, says: 'done', verdict: 'VM_MISSING' },
  { plan: { preset: 'gone-yet-success' }, says: 'done', verdict: 'VM_MISSING' },
];

describeOnVcenter('what a relocation came to', () => {
  it.each(rows.map((row) => [`${JSON.stringify(row.plan)}: the task says "${row.says}"`, row] as const))(
    '%s',
    async (_, { plan, says, verdict: wanted, really = wanted, copies = 0, sources = 0 }) => {
      const one = await prepared();
      await world.sim.plan({ ...plan, vm: one.name });
      expect(await ended(one, await submitted(one))).toBe(says);
      const verdict = await classified(one);
      expect(verdict.kind).toBe(wanted);
      expect(await truth(one.name)).toBe(really);
      const left = leftoversOf(verdict).map((l) => l.what);
      expect(left.sort()).toEqual([
        ...Array<string>(copies).fill('copy'),
        ...Array<string>(sources).fill('source'),
      ]);
      expect(await world.sim.calls('RelocateVM_Task')).toHaveLength(1);
      if (verdict.kind === 'PARTIAL') return;
      const removed = await world.vsphere.volumeMoves.remove(one.before, leftoversOf(verdict), notAborted());
      expect(removed.kind).toBe(sources > 0 ? 'refused' : 'ok');
      expect(await truth(one.name)).toBe(really);
      expect(leftoversOf(await classified(one))).toHaveLength(sources);
    },
  );

  it.each([
    ['one disk', 1, false, 'there'],
    ['three disks', 3, false, 'there'],
    ['a running VM', 2, true, 'there'],
    ['the way back', 2, false, 'back'],
  ] as const)(
    'the stock relocation, which lies, is never taken for a move: %s',
    async (_, disks, runs, direction) => {
      const one = await prepared(disks);
      if (runs) await world.sim.order('vm', { vm: one.name, power: 'on' });
      await world.sim.plan({ preset: 'stock' });
      expect(await ended(one, await submitted(one, direction))).toBe('done');
      expect((await classified(one)).kind).toBe('NOT_MOVED');
      expect(await truth(one.name)).toBe('NOT_MOVED');
    },
  );

  it('does not take a copy that lost bytes for the disk', async () => {
    const one = await prepared(1);
    await world.sim.plan({ preset: 'corrupt' });
    expect(await ended(one, await submitted(one))).toBe('done');
    const verdict = await classified(one);
    expect(verdict).toMatchObject({ kind: 'UNKNOWN', fault: { code: 'MOVE_NOT_KNOWN' } });
    expect(verdict.kind === 'UNKNOWN' && verdict.fault.sentence).toContain('it is not whole');
  });

  it('cannot see content that was changed within its length, which docs/vsphere-support.md says', async () => {
    const one = await prepared(1);
    await world.sim.plan({ preset: 'corrupt-content' });
    await ended(one, await submitted(one));
    expect((await classified(one)).kind).toBe('MOVED');
    expect(everyContent(world.state)).not.toEqual(expect.arrayContaining(contents));
  });

  it('takes a cancel that came half-way for what it left: one disk here, one there', async () => {
    const one = await prepared();
    await world.sim.plan({ hold: 'between' });
    const task = await submitted(one);
    expect((await classified(one)).kind).toBe('IN_PROGRESS');
    expect(await world.vsphere.volumeMoves.cancel(one.before, task, notAborted())).toEqual({ kind: 'ok' });
    expect(await ended(one, task)).toBe('cancelled');
    expect((await classified(one)).kind).toBe('PARTIAL');
    expect(await truth(one.name)).toBe('PARTIAL');
  });

  it('says that a move cannot be cancelled, and follows it to its end', async () => {
    const one = await prepared();
    await world.sim.plan({ preset: 'refuse-cancel' });
    const task = await submitted(one);
    const said = await world.vsphere.volumeMoves.cancel(one.before, task, notAborted());
    expect(said).toMatchObject({ kind: 'refused', fault: { code: 'MOVE_STILL_RUNNING' } });
    await world.sim.order('go-on', { vm: one.name });
    expect(await ended(one, task)).toBe('done');
    expect((await classified(one)).kind).toBe('MOVED');
  });

  it('finds the task of a submission whose answer was lost, and submits nothing again', async () => {
    const one = await prepared();
    const since = new Date().toISOString();
    await world.sim.rule({ method: 'RelocateVM_Task', action: 'lose-reply' });
    const said = await world.vsphere.volumeMoves.submit(one.before, 'there', notAborted());
    expect(said.kind).toBe('unknown');
    const found = await world.vsphere.volumeMoves.find(one.before, 'there', since, notAborted());
    if (found.kind !== 'found') throw new Error(found.kind);
    expect(await ended(one, found.task)).toBe('done');
    expect((await classified(one)).kind).toBe('MOVED');
    expect(await world.sim.calls('RelocateVM_Task')).toHaveLength(1);
  });

  it('finds nothing of a submission that never arrived, and does not call it repeatable', async () => {
    const one = await prepared();
    const since = new Date().toISOString();
    await world.sim.rule({ method: 'RelocateVM_Task', action: 'reset' });
    expect((await world.vsphere.volumeMoves.submit(one.before, 'there', notAborted())).kind).toBe('unknown');
    expect(await world.vsphere.volumeMoves.find(one.before, 'there', since, notAborted())).toEqual({
      kind: 'nothing',
      repeatable: false,
    });
    expect((await classified(one)).kind).toBe('NOT_MOVED');
  });

  it('sends nothing on a session that ended, and says so', async () => {
    const one = await prepared();
    await world.sim.rule({ method: 'RelocateVM_Task', action: 'fault:NotAuthenticated' });
    const said = await world.vsphere.volumeMoves.submit(one.before, 'there', notAborted());
    expect(said).toMatchObject({ kind: 'unreachable', fault: { code: 'VCENTER_SESSION_ENDED' } });
    expect(await world.sim.calls('RelocateVM_Task')).toHaveLength(1);
  });

  it('waits while the work goes on after vCenter restarted and forgot the task', async () => {
    const one = await prepared();
    await world.sim.plan({ hold: 'between' });
    const task = await submitted(one);
    await world.sim.order('restart', { downMs: 300 });
    const down = await classified(one);
    expect(down).toMatchObject({ kind: 'UNKNOWN', fault: { code: 'VCENTER_UNREACHABLE' } });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(await ended(one, task)).toBe('forgotten');
    expect((await classified(one)).kind).toBe('IN_PROGRESS');
    await world.sim.order('go-on', { vm: one.name });
    await world.sim.order('settle', { vm: one.name });
    expect((await classified(one)).kind).toBe('MOVED');
    expect(await truth(one.name)).toBe('MOVED');
  });

  it.each(['preflight', 'submit', 'follow', 'classify', 'remove'])(
    'comes to the same end when the session is dropped before %s',
    async (step) => {
      const one = await prepared();
      const moves = world.vsphere.volumeMoves;
      const at = async (name: string): Promise<void> => {
        if (name === step) await world.sim.order('expire-sessions');
      };
      await at('preflight');
      expect((await moves.preflight(one.before.order, notAborted())).kind).toBe('ready');
      await world.sim.plan({ preset: 'keep-source' });
      await at('submit');
      const task = await submitted(one);
      await at('follow');
      expect(await ended(one, task)).toBe('done');
      await at('classify');
      const verdict = await classified(one);
      expect(verdict.kind).toBe('MOVED');
      await at('remove');
      expect((await moves.remove(one.before, leftoversOf(verdict), notAborted())).kind).toBe('refused');
      expect(await world.sim.calls('RelocateVM_Task')).toHaveLength(1);
      expect(await truth(one.name)).toBe('MOVED');
    },
  );

  it('knows a VM that was registered anew, under another object, for what it is', async () => {
    const one = await prepared();
    await ended(one, await submitted(one));
    const vmx = await world.sim.order('unregister', { vm: one.name });
    expect((await classified(one)).kind).toBe('VM_MISSING');
    await world.sim.order('register', { vmx });
    expect((await classified(one)).kind).toBe('MOVED');
  });

  it('does not call a VM missing that it may not see', async () => {
    const one = await prepared();
    await world.sim.order('vm', { vm: one.name, hidden: true });
    const verdict = await classified(one);
    expect(verdict).toMatchObject({ kind: 'UNKNOWN', fault: { code: 'MOVE_NOT_KNOWN' } });
    expect(verdict.kind === 'UNKNOWN' && verdict.fault.sentence).toContain('may not read it');
  });

  it('knows nothing while a datastore cannot be read', async () => {
    const one = await prepared();
    await ended(one, await submitted(one));
    await world.sim.order('datastore', { name: 'LocalDS_1', accessible: false });
    expect((await classified(one)).kind).toBe('UNKNOWN');
    await world.sim.order('datastore', { name: 'LocalDS_1', accessible: true });
    expect((await classified(one)).kind).toBe('MOVED');
  });

  it('knows nothing of disks that somebody moved elsewhere meanwhile', async () => {
    const one = await prepared();
    const other = await world.vsphere.volumeMoves.preflight(
      await orderOf(one.name, pool('LocalDS_2')),
      notAborted(),
    );
    if (other.kind !== 'ready') throw new Error('it can be moved there, too');
    await ended({ ...one, before: other.before }, await submitted({ ...one, before: other.before }));
    expect((await classified(one)).kind).toBe('UNKNOWN');
  });

  it('never takes a VM of another vCenter for the one it moved, though it has the same UUIDs', async () => {
    const one = await prepared();
    const sim = await startVcenter({ vms: 1, hosts: 2, disks: 2, diskBytes: 4_096 });
    const vsphere = createVsphere(vsphereOptions(sim, await sim.state()), { settleMs: 0 });
    const verdict = await vsphere.volumeMoves.classify(one.before, known, notAborted());
    expect(verdict.kind).toBe('UNKNOWN');
    await vsphere.close();
    await sim.stop();
  });
});

describeOnVcenter('a bad order', () => {
  const refusal = async (name: string, to = target): Promise<string> => {
    const said = await world.vsphere.volumeMoves.preflight(await orderOf(name, to), notAborted());
    if (said.kind === 'ready') throw new Error('it was not refused');
    return said.faults.map((f) => `${f.code} ${f.sentence}`).join('\n');
  };
  const change =
    (order: string, body: object) =>
    async (name: string): Promise<void> => {
      await world.sim.order(order, JSON.parse(JSON.stringify(body).replaceAll('THE-VM', name)) as object);
    };

  it.each([
    [
      'a VM that its host lost',
      change('vm', { vm: 'THE-VM', state: 'inaccessible' }),
      'MOVE_REFUSED',
      'vCenter calls it inaccessible',
    ],
    [
      'a target that cannot be reached',
      change('datastore', { name: 'LocalDS_1', accessible: false }),
      'POOL_NOT_USABLE',
      'LocalDS_1 is not accessible',
    ],
    [
      'a target in maintenance',
      change('datastore', { name: 'LocalDS_1', maintenanceMode: 'inMaintenance' }),
      'POOL_NOT_USABLE',
      'LocalDS_1 is inMaintenance',
    ],
    [
      'a target that is full',
      change('datastore', { name: 'LocalDS_1', freeSpace: 10 }),
      'POOL_FULL',
      '10 bytes free, and 8192 are needed',
    ],
    [
      "what vCenter's own check refuses",
      change('vm', { vm: 'THE-VM', checkFault: 'SnapshotMoveNotSupported' }),
      'MOVE_REFUSED',
      "vCenter's own check says SnapshotMoveNotSupported",
    ],
    [
      'a VM that it may not read',
      change('vm', { vm: 'THE-VM', hidden: true }),
      'VM_NOT_IN_INVENTORY',
      'may not see it',
    ],
  ])('is refused in a sentence: %s', async (_, arrange, code, sentence) => {
    const { name } = await prepared();
    await arrange(name);
    const said = await refusal(name);
    expect(said).toContain(code);
    expect(said).toContain(sentence);
    expect(await world.sim.calls('RelocateVM_Task')).toEqual([]);
  });

  it('that a role does not allow is refused with the privilege, and nothing has moved', async () => {
    const one = await prepared();
    await world.sim.order('deny', { method: 'RelocateVM_Task', fault: 'NoPermission' });
    const said = await world.vsphere.volumeMoves.submit(one.before, 'there', notAborted());
    expect(said).toMatchObject({ kind: 'refused', fault: { code: 'VCENTER_NOT_ALLOWED' } });
    expect((await classified(one)).kind).toBe('NOT_MOVED');
  });

  it.each([
    ['a wrong password', { password: () => 'wrong' }, 'VCENTER_LOGIN_REFUSED'],
    ['another certificate', { thumbprint: '00'.repeat(32) }, 'VCENTER_NOT_TRUSTED'],
    ['another vCenter at its address', { instanceUuid: 'somebody-else' }, 'VCENTER_CHANGED'],
    ['nobody at its address', { url: 'https://127.0.0.1:9/sdk' }, 'VCENTER_UNREACHABLE'],
  ])('to a vCenter with %s ends in one clear fault', async (_, wrong, code) => {
    const { name } = await prepared();
    const options = vsphereOptions(world.sim, world.state);
    const vcenters = options.vcenters.map((v) => ({ ...v, ...wrong }));
    const vsphere = createVsphere({ ...options, vcenters });
    const call = vsphere.volumeMoves.preflight(await orderOf(name), notAborted());
    await expect(call).rejects.toMatchObject({ fault: { code } });
    const said = await call.catch((e: unknown) => String(e));
    expect(said).not.toContain(world.sim.password);
    await vsphere.close();
  });
});
