import type { FenceEvidence } from '../../domain/evidence';
import type { PoolId } from '../../domain/ids';
import type { MoveVerdict } from '../../domain/volume-move';
import { type ContractCase, notAborted } from './contract';
import {
  carriedOut,
  followed,
  leftoversOf,
  type Manner,
  nothingKnown,
  orderFor,
  prepared,
  submitted,
  type VolumeMovesSubject,
} from './move-protocol';
import { evidenceAbout } from './permits';

/** A manner, whether its task ends well, and the truth. Whoever believes the task is wrong in most of them. */
const manners: readonly { manner: Manner; says: string; truth: MoveVerdict['kind']; disks: number }[] = [
  { manner: 'says-done-does-nothing', says: 'done', truth: 'NOT_MOVED', disks: 1 },
  { manner: 'moves-part', says: 'done', truth: 'PARTIAL', disks: 2 },
  { manner: 'moves-part-says-failed', says: 'failed', truth: 'PARTIAL', disks: 2 },
  { manner: 'fails-before', says: 'failed', truth: 'NOT_MOVED', disks: 1 },
  { manner: 'fails-after-copy', says: 'failed', truth: 'NOT_MOVED', disks: 2 },
  { manner: 'moves-says-failed', says: 'failed', truth: 'MOVED', disks: 1 },
  { manner: 'keeps-source', says: 'done', truth: 'MOVED', disks: 1 },
];

const liars = manners.map(({ manner, says, truth, disks }): ContractCase<VolumeMovesSubject> => ({
  name: `reads ${truth} where the task says "${says}" (${manner})`,
  needs: 'lying-mover',
  async run({ port, target, newVm, world }) {
    const vm = await newVm('stopped', disks);
    const files = await world.filesOf(vm);
    const before = await prepared(port, orderFor(vm, target));
    await world.setManner(vm, manner);
    const { end, verdict } = await carriedOut(port, before);
    expect({ end, verdict: verdict.kind }).toEqual({ end: says, verdict: truth });
    const now = await world.filesOf(vm);
    const moved = await Promise.all(now.map((f) => world.isOn(f, target)));
    expect(moved.every(Boolean) ? 'MOVED' : moved.some(Boolean) ? 'PARTIAL' : 'NOT_MOVED').toBe(truth);
    const kept = truth === 'NOT_MOVED' || manner === 'keeps-source' ? files : [];
    for (const file of kept) expect(await world.exists(file)).toBe(true);
    if (truth === 'PARTIAL') return;
    const stays = leftoversOf(verdict).filter((l) => l.stays !== undefined);
    const goes = leftoversOf(verdict).filter((l) => l.stays === undefined);
    expect((await port.remove(before, goes, notAborted())).kind).toBe('ok');
    for (const { path } of goes) expect(await world.exists(path)).toBe(false);
    for (const left of stays) expect((await port.remove(before, [left], notAborted())).kind).toBe('refused');
    for (const { path } of stays) expect(await world.exists(path)).toBe(true);
    for (const file of await world.filesOf(vm)) expect(await world.exists(file)).toBe(true);
  },
}));

export const volumeMovesContract: readonly ContractCase<VolumeMovesSubject>[] = [
  {
    name: 'reads everything before anything is done, changes nothing, and reads the same again',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const [file] = await world.filesOf(vm);
      const order = orderFor(vm, target);
      const before = await prepared(port, order);
      expect(before).toMatchObject({ order, name: vm.name, running: false });
      expect(before.disks.map((d) => [d.disk, d.at.path, d.wanted?.poolId])).toEqual([
        [vm.disks[0], file, target],
      ]);
      expect(before.disks[0]?.bytes).toBeGreaterThan(0);
      const again = await prepared(port, order);
      expect({ ...again, readAt: before.readAt }).toEqual(before);
      expect(await port.find(before, 'there', before.readAt, notAborted())).toMatchObject({
        kind: 'nothing',
      });
      expect((await port.classify(before, nothingKnown, notAborted())).kind).toBe('NOT_MOVED');
      expect(await world.begun(vm)).toBe(0);
    },
  },
  {
    name: 'names every problem of an order at once',
    async run({ port, newVm }) {
      const vm = await newVm('stopped');
      const order = orderFor(vm, 'no-such-pool' as PoolId);
      const said = await port.preflight(
        { ...order, disks: [...order.disks, { disk: 'no-such-disk', to: 'no-such-pool' as PoolId }] },
        notAborted(),
      );
      const codes = said.kind === 'refused' ? said.faults.map((f) => f.code) : [];
      expect(codes).toEqual(expect.arrayContaining(['UNKNOWN_DISK', 'POOL_NOT_USABLE']));
    },
  },
  {
    name: 'refuses a VM that is in no inventory, and touches none of its files',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const files = await world.filesOf(vm);
      await world.unregister(vm);
      const said = await port.preflight(orderFor(vm, target), notAborted());
      expect(said).toMatchObject({ kind: 'refused', faults: [{ code: 'VM_NOT_IN_INVENTORY' }] });
      for (const file of files) expect(await world.exists(file)).toBe(true);
    },
  },
  {
    name: 'refuses a disk that lies on the target already',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const { disks } = await prepared(port, orderFor(vm, target));
      const here = disks.find((d) => d.wanted !== undefined)?.at.poolId as PoolId;
      const said = await port.preflight(orderFor(vm, here), notAborted());
      expect(said).toMatchObject({ kind: 'refused', faults: [{ code: 'DISK_NOT_MOVABLE' }] });
      expect(await world.begun(vm)).toBe(0);
    },
  },
  {
    name: 'refuses a pool that is too full',
    needs: 'full-pool',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      await world.fillTarget();
      const said = await port.preflight(orderFor(vm, target), notAborted());
      expect(said).toMatchObject({ kind: 'refused', faults: [{ code: 'POOL_FULL' }] });
    },
  },
  {
    name: 'moves the disk of a stopped VM: whole, named by the VM, and its source removed last',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const [source = ''] = await world.filesOf(vm);
      const content = await world.contentOf(source);
      const before = await prepared(port, orderFor(vm, target));
      const { verdict } = await carriedOut(port, before);
      expect(verdict.kind).toBe('MOVED');
      const [file = ''] = await world.filesOf(vm);
      expect(await world.isOn(file, target)).toBe(true);
      expect(await world.contentOf(file)).toBe(content);
      const found = 'disks' in verdict ? verdict : undefined;
      expect(found?.disks).toMatchObject([{ disk: vm.disks[0], at: { poolId: target, path: file } }]);
      expect(found?.vm?.shape.disks.map((d) => d.path)).toEqual([file]);
      expect(await port.letGo(before, notAborted())).toEqual({ kind: 'ok' });
      expect(await port.remove(before, leftoversOf(verdict), notAborted())).toEqual({ kind: 'ok' });
      expect(await world.exists(source)).toBe(false);
      const after = await port.classify(before, nothingKnown, notAborted());
      expect([after.kind, leftoversOf(after)]).toEqual(['MOVED', []]);
      expect(await world.runs(vm)).toBe(false);
    },
  },
  {
    name: 'moves the disk of a running VM, which runs on from the new place',
    needs: 'live-move',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('running');
      const [source = ''] = await world.filesOf(vm);
      const before = await prepared(port, orderFor(vm, target));
      expect(before.running).toBe(true);
      const { verdict, task } = await carriedOut(port, before);
      expect(verdict.kind).toBe('MOVED');
      if (before.switches === 'by-order') {
        expect(await world.runs(vm)).toBe(false);
        expect(await port.switchOver(before, task, notAborted())).toEqual({ kind: 'ok' });
      }
      for (let i = 0; i < 2; i += 1) expect(await port.letGo(before, notAborted())).toEqual({ kind: 'ok' });
      expect(await world.runs(vm)).toBe(true);
      expect(await port.remove(before, leftoversOf(verdict), notAborted())).toEqual({ kind: 'ok' });
      expect(await world.exists(source)).toBe(false);
      const [file = ''] = await world.filesOf(vm);
      expect(await world.isOn(file, target)).toBe(true);
    },
  },
  ...(['stopped', 'running'] as const).map((state): ContractCase<VolumeMovesSubject> => ({
    name: `moves several disks of a ${state} VM by one order, and says MOVED of all together`,
    ...(state === 'running' && { needs: 'live-move' }),
    async run({ port, target, newVm, world }) {
      const vm = await newVm(state, 2);
      expect(vm.disks).toHaveLength(2);
      const sources = await world.filesOf(vm);
      const contents = await Promise.all(sources.map((f) => world.contentOf(f)));
      const before = await prepared(port, orderFor(vm, target));
      const { verdict } = await carriedOut(port, before);
      expect(verdict.kind).toBe('MOVED');
      const now = await world.filesOf(vm);
      expect(await Promise.all(now.map((f) => world.isOn(f, target)))).toEqual([true, true]);
      if (state === 'stopped')
        expect(await Promise.all(now.map((f) => world.contentOf(f)))).toEqual(contents);
      expect(await port.letGo(before, notAborted())).toEqual({ kind: 'ok' });
      expect(await port.remove(before, leftoversOf(verdict), notAborted())).toEqual({ kind: 'ok' });
      for (const source of sources) expect(await world.exists(source)).toBe(false);
      expect(await world.runs(vm)).toBe(state === 'running');
    },
  })),
  {
    name: 'moves one of several disks and leaves the others where they are',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped', 2);
      const sources = await world.filesOf(vm);
      const before = await prepared(port, orderFor(vm, target, vm.disks.slice(1)));
      expect((await carriedOut(port, before)).verdict.kind).toBe('MOVED');
      const now = await world.filesOf(vm);
      expect(await Promise.all(now.map((f) => world.isOn(f, target)))).toEqual([false, true]);
      expect(now[0]).toBe(sources[0]);
    },
  },
  {
    name: 'finds what an earlier order began, and begins nothing twice',
    needs: 'hanging-mover',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const before = await prepared(port, orderFor(vm, target));
      await world.setManner(vm, 'hangs');
      const task = await submitted(port, before);
      const found = await port.find(before, 'there', before.readAt, notAborted());
      expect(found).toEqual({ kind: 'found', task });
      const other = await prepared(port, orderFor(vm, target)).catch((e: unknown) => String(e));
      expect(other).toContain('at work');
      expect((await port.classify(before, nothingKnown, notAborted())).kind).toBe('IN_PROGRESS');
      await world.endMoves(vm);
      expect(await world.begun(vm)).toBe(1);
    },
  },
  {
    name: 'stops a move that is asked to stop; what it leaves is its own copy, and only that is removed',
    needs: 'hanging-mover',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const [source = ''] = await world.filesOf(vm);
      const content = await world.contentOf(source);
      const before = await prepared(port, orderFor(vm, target));
      await world.setManner(vm, 'hangs');
      const task = await submitted(port, before);
      expect(await port.cancel(before, task, notAborted())).toEqual({ kind: 'ok' });
      expect(await followed(port, before, task)).toBe('cancelled');
      expect(await port.cancel(before, task, notAborted())).toEqual({ kind: 'ok' });
      const verdict = await port.classify(before, nothingKnown, notAborted());
      expect(verdict.kind).toBe('NOT_MOVED');
      expect(leftoversOf(verdict).every((l) => l.what === 'copy')).toBe(true);
      expect(await port.remove(before, leftoversOf(verdict), notAborted())).toEqual({ kind: 'ok' });
      expect(await world.contentOf(source)).toBe(content);
    },
  },
  {
    name: 'tells a move that ended well after it was asked to stop from one that stopped',
    needs: 'lying-mover',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const before = await prepared(port, orderFor(vm, target));
      await world.setManner(vm, 'ignores-cancel');
      const task = await submitted(port, before);
      await port.cancel(before, task, notAborted());
      const end = await followed(port, before, task);
      if (end === 'ready') await port.switchOver(before, task, notAborted());
      expect((await port.classify(before, nothingKnown, notAborted())).kind).toBe('MOVED');
    },
  },
  {
    name: 'takes a move back that went half way; the disks are where they were, by whatever name',
    needs: 'lying-mover',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped', 2);
      const contents = await Promise.all((await world.filesOf(vm)).map((f) => world.contentOf(f)));
      const before = await prepared(port, orderFor(vm, target));
      await world.setManner(vm, 'moves-part');
      expect((await carriedOut(port, before)).verdict.kind).toBe('PARTIAL');
      const { verdict } = await carriedOut(port, before, 'back');
      expect(verdict.kind).toBe('NOT_MOVED');
      const files = await world.filesOf(vm);
      for (const file of files) expect(await world.isOn(file, target)).toBe(false);
      expect(await Promise.all(files.map((f) => world.contentOf(f)))).toEqual(contents);
      expect('disks' in verdict ? verdict.disks.map((d) => d.at.path) : []).toEqual(files);
    },
  },
  {
    name: 'says VM_MISSING, with the files, for a VM that left the inventory while its disk was copied',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const files = await world.filesOf(vm);
      const before = await prepared(port, orderFor(vm, target));
      await world.unregister(vm);
      const verdict = await port.classify(before, nothingKnown, notAborted());
      expect(verdict).toMatchObject({ kind: 'VM_MISSING', paths: expect.arrayContaining(files) });
      for (const file of files) expect(await world.exists(file)).toBe(true);
    },
  },
  {
    name: 'says DISK_MISSING for a stopped VM whose new file is gone, although the old one is there',
    needs: 'unlinked-disk',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const before = await prepared(port, orderFor(vm, target));
      expect((await carriedOut(port, before)).verdict.kind).toBe('MOVED');
      const [file = ''] = await world.filesOf(vm);
      await world.unlink(file);
      const verdict = await port.classify(before, nothingKnown, notAborted());
      expect(verdict).toMatchObject({ kind: 'DISK_MISSING', paths: [file] });
    },
  },
  {
    name: 'knows nothing of a host that does not answer, and takes a proof that it is off for an answer',
    needs: 'dead-host',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const before = await prepared(port, orderFor(vm, target));
      await world.powerOff(vm.hostId);
      expect((await port.classify(before, nothingKnown, notAborted())).kind).toBe('UNKNOWN');
      const proofs: FenceEvidence[] = [evidenceAbout(vm.hostId)];
      const verdict = await port.classify(before, { proofs, switchAsked: false }, notAborted());
      expect(verdict.kind).toBe('NOT_MOVED');
    },
  },
  {
    name: 'removes neither a file that is in use nor one that this order has not made',
    async run({ port, target, newVm, world }) {
      const vm = await newVm('stopped');
      const other = await newVm('stopped');
      const before = await prepared(port, orderFor(vm, target));
      const [own = ''] = await world.filesOf(vm);
      const [foreign = ''] = await world.filesOf(other);
      for (const path of [own, foreign])
        for (const what of ['source', 'copy'] as const) {
          const said = await port.remove(before, [{ poolId: undefined, path, what }], notAborted());
          expect(said).toMatchObject({ kind: 'refused', fault: { code: 'NOT_REMOVED' } });
          expect(await world.exists(path)).toBe(true);
        }
      const gone = [{ poolId: undefined, path: `${own}.never-made`, what: 'copy' }] as const;
      expect(await port.remove(before, gone, notAborted())).toEqual({ kind: 'ok' });
    },
  },
  ...liars,
];
