/**
 * The incident that moves began with: a VM was gone from the inventory, nothing had moved, and the record said that it had. Its variants, on a
 * simulated vCenter, through the shipped workflow; what each came to is read by a reader that shares no code with the client.
 */
import { notAborted } from '../contracts/contract';
import { poolId } from '../../domain/ids';
import type { MoveOrder } from '../../domain/volume-move';
import { failureTypes } from '../../workflows/inputs';
import { type Mode, modes } from '../support/move-modes';
import { failureOf } from '../support/story';
import { describeOnVcenter } from '../support/vcenter';
import type { MoveHook } from '../support/vcenter-hooks';
import {
  type MoveCase,
  moveWorld,
  type MoveWorld,
  playMode,
  startMove,
  target,
  wrongWith,
} from '../support/vcenter-moves';

const source = 'LocalDS_0';
const modeNamed = (name: string): Mode => {
  const found = modes.find((m) => m.name === name);
  if (found === undefined) throw new Error(`no mode ${name}`);
  return found;
};
const honest = modeNamed('honest');
const notMoved: Mode = { name: 'not moved', ends: 'not-moved' };

describeOnVcenter('a volume move of a VM that somebody touches meanwhile', () => {
  let world: MoveWorld;
  let hook: MoveHook | undefined;

  beforeAll(async () => {
    world = await moveWorld(12, { hook: async (at, vm) => hook?.(at, vm) });
  });
  afterAll(() => world.close());
  afterEach(() => {
    hook = undefined;
  });

  /** Once, right before the order is sent. */
  const beforeSubmit = (act: () => Promise<void>): void => {
    let done = false;
    hook = async ({ call, when }) => {
      if (done || call !== 'submit' || when !== 'before') return;
      done = true;
      await act();
    };
  };

  async function untouched(one: MoveCase): Promise<void> {
    for (const { path, content } of one.disks) {
      const [, , , , , name = ''] = path.split('/');
      expect(one.reader.filesOf(source, one.vm).get(name.replace(/\.vmdk$/, '-flat.vmdk'))).toBe(content);
    }
    expect([...one.reader.filesOf(target, one.vm).keys()]).toEqual([]);
    expect((await world.system.inventory.vm(one.id))?.shape).toEqual(one.record.shape);
  }

  const relocations = async (one: MoveCase): Promise<number> =>
    (await world.system.sim.calls('RelocateVM_Task')).filter((c) => c.this === one.ref).length;

  it('moves no disk of a VM whose name begins like the one that was asked for', async () => {
    const cases = [await world.fresh(), await world.fresh(), await world.fresh()];
    const short = cases.find((a) => cases.some((b) => b !== a && b.vm.startsWith(a.vm)));
    if (short === undefined) throw new Error(`no such names: ${cases.map((c) => c.vm).join(', ')}`);
    expect(await playMode(short, honest, await startMove(short))).toBe('moved');
    expect(await wrongWith(short, honest, 'moved')).toEqual([]);
    for (const other of cases.filter((c) => c !== short)) {
      expect(await other.reader.disksOf(other.id)).toEqual(other.disks);
      await untouched(other);
    }
  });

  it('refuses a VM that was removed from the inventory: record unchanged, no file touched, nothing sent, people told', async () => {
    const one = await world.fresh();
    await world.system.sim.order('unregister', { vm: one.vm });
    const { type, message } = await failureOf(await startMove(one));
    expect(type).toBe(failureTypes.compensated);
    expect(message).toContain(`${one.vm} is in no inventory`);
    for (const { path } of one.disks) expect(message).toContain(path);
    await untouched(one);
    expect(await relocations(one)).toBe(0);
    const alerts = await world.system.inventory.alerts({ open: true });
    expect(alerts.filter((a) => a.key.includes(one.id)).map((a) => a.sentence)).toEqual([
      expect.stringContaining(one.disks[0]?.path ?? '?'),
    ]);
  });

  it('once it is registered again, moves it all the same', async () => {
    const one = await world.fresh();
    const vmx = await world.system.sim.order('unregister', { vm: one.vm });
    await world.system.sim.order('register', { vmx });
    expect(await playMode(one, honest, await startMove(one))).toBe('moved');
    expect(await wrongWith(one, honest, 'moved')).toEqual([]);
  });

  it('does not act for one that is removed between the check and the order', async () => {
    const one = await world.fresh();
    beforeSubmit(async () => {
      await world.system.sim.order('unregister', { vm: one.vm });
    });
    const { type, message } = await failureOf(await startMove(one));
    expect([type, message]).toEqual([
      failureTypes.compensated,
      expect.stringContaining(one.disks[0]?.path ?? '?') as string,
    ]);
    await untouched(one);
    expect(await relocations(one)).toBe(0);
  });

  it('follows a disk that storage DRS moved meanwhile: what is recorded is where it is', async () => {
    const one = await world.fresh();
    const order: MoveOrder = {
      ...{ attempt: 'sdrs', vmId: one.id, hostId: one.record.hostId },
      disks: one.disks.map((d) => ({ disk: d.uuid, to: poolId('LocalDS_2') })),
    };
    beforeSubmit(async () => {
      const { volumeMoves } = world.system.vsphere;
      const said = await volumeMoves.preflight(order, notAborted());
      if (said.kind !== 'ready') throw new Error('storage DRS could move it');
      const sent = await volumeMoves.submit(said.before, 'there', notAborted());
      if (sent.kind !== 'accepted') throw new Error(sent.kind);
      await world.system.sim.order('settle', { vm: one.vm });
    });
    expect(await playMode(one, honest, await startMove(one))).toBe('moved');
    // Two relocations of the same VM, one of them not ours.
    expect((await wrongWith(one, honest, 'moved')).filter((w) => !w.includes('sent'))).toEqual([]);
  });

  it.each(['honest', 'fails after the copy'])(
    'leaves a file alone that lies at the target under the name that the disk would get: %s',
    async (name) => {
      const one = await world.fresh();
      const mode = modeNamed(name);
      one.reader.plant(target, `${one.vm}/${one.vm}.vmdk`, 'a descriptor of somebody');
      one.reader.plant(target, `${one.vm}/${one.vm}-flat.vmdk`, 'bytes of somebody');
      const theirs = one.reader.filesOf(target, one.vm);
      if (mode.plan !== undefined) await world.system.sim.plan({ vm: one.vm, ...mode.plan });
      const ending = await playMode(one, mode, await startMove(one));
      expect(ending).toBe(mode.ends);
      expect(await wrongWith(one, mode, ending)).toEqual([]);
      const after = one.reader.filesOf(target, one.vm);
      for (const [file, sum] of theirs) expect(after.get(file)).toBe(sum);
      if (ending !== 'moved') expect([...after.keys()]).toEqual([...theirs.keys()]);
    },
  );

  it.each(['fails after a copy that is not whole', 'no space'])(
    'removes only what it made at the target: %s',
    async (name) => {
      const one = await world.fresh();
      const mode = modeNamed(name);
      await world.system.sim.plan({ vm: one.vm, ...mode.plan });
      expect(await playMode(one, mode, await startMove(one))).toBe('not-moved');
      expect(await wrongWith(one, notMoved, 'not-moved')).toEqual([]);
      await untouched(one);
    },
  );
});
