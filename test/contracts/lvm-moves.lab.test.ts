/** Disks between files and logical volumes, by real LVM, libvirt and QEMU. */
import type { VolumeMovesPort } from '../../activities/ports';
import type { PoolId } from '../../domain/ids';
import { looseKey, type MoveOrder } from '../../domain/volume-move';
import { describeOnLvmHost, type LvmHost, lvmHost, lvmPool, openLvmHost } from '../support/lvm-host';
import { describeAtLengthOnStorageLab, itAtLength } from '../support/storage-lab';
import { notAborted, runContract } from './contract';
import { type From, type LvmMoves, openLvmMoves } from './lvm-move-subjects';
import { carriedOut, followed, orderFor, prepared } from './move-protocol';
import { volumeMovesContract } from './volume-moves.contract';

/** A boot takes ten seconds on quiet cores, and everything in it is emulated twice. */
jest.setTimeout(10 * 60_000);

const known = { proofs: [], switchAsked: false } as const;

describeOnLvmHost('on a real host with LVM', () => {
  let machine: LvmHost | undefined;
  const host = async (): Promise<LvmHost> => (machine ??= await openLvmHost());
  const opened = (from: From) => async () => openLvmMoves(await host(), from);
  afterAll(() => machine?.close());

  // A case takes half a minute there; below is one of each way and manner.
  describeAtLengthOnStorageLab('by every rule of the port', () => {
    runContract('volumeMoves', 'libvirt (file to volume)', volumeMovesContract, opened('file'), 'suite');
    runContract('volumeMoves', 'libvirt (volume to file)', volumeMovesContract, opened('volume'), 'suite');
  });

  describe('a logical volume', () => {
    let lvm: LvmHost;
    let there: LvmMoves;
    let away: LvmMoves;
    beforeAll(async () => {
      lvm = await host();
      there = openLvmMoves(lvm, 'file');
      away = openLvmMoves(lvm, 'volume');
    });
    afterAll(() => Promise.all([there.close(), away.close()]));
    beforeEach(() => away.reset());

    it('that VMedic has not made stays after its disk has moved away, is told of, and is removed by nobody', async () => {
      const { port, target, world, newVm } = away.subject;
      const vm = await newVm('stopped');
      const [source = ''] = await world.filesOf(vm);
      await lvm.run(`lvchange -q --deltag vmedic.made-for-a-case ${source}`);
      const content = await world.contentOf(source);
      const before = await prepared(port, orderFor(vm, target));
      const { verdict } = await carriedOut(port, before);
      expect(verdict).toMatchObject({
        kind: 'MOVED',
        leftovers: [{ path: source, what: 'source', stays: expect.stringContaining('has not made') }],
      });
      const leftovers = 'leftovers' in verdict ? verdict.leftovers : [];
      expect(await port.remove(before, leftovers, notAborted())).toMatchObject({
        kind: 'refused',
        fault: { code: 'NOT_REMOVED' },
      });
      expect(await world.contentOf(source)).toBe(content);
      // Active for the copy only, as it was before.
      expect(await lvm.isActive(source)).toBe(false);
    });

    it('made for a guest that writes holds nothing of what lay on its extents before', async () => {
      const { port, target, world, newVm } = there.subject;
      await lvm.run(
        "lvcreate -q -y -Wn -Zn -n filler -l 100%FREE vmvg && { tr '\\0' '\\377' </dev/zero | dd of=/dev/vmvg/filler bs=1M conv=fsync status=none; :; }",
      );
      const garbage = async (path: string): Promise<number> =>
        Number(await lvm.run(`tr -dc '\\377' <${path} | wc -c`));
      // The negative control: this is what the new volume would be made of.
      expect(await garbage('/dev/vmvg/filler')).toBeGreaterThan(4_194_304);
      await lvm.run('lvchange -an vmvg/filler && lvremove -q -y vmvg/filler');
      const vm = await newVm('running');
      const { verdict } = await carriedOut(port, await prepared(port, orderFor(vm, target)));
      expect(verdict.kind).toBe('MOVED');
      const [volume = ''] = await world.filesOf(vm);
      await lvm.run(`virsh -q destroy ${vm.name}`);
      expect(await garbage(volume)).toBeLessThan(1_000);
    });

    itAtLength(
      'is made only where no other host changes its group at the same time, and only of exactly the size of the disk',
      async () => {
        const { port, target, world, newVm } = there.subject;
        const vm = await newVm('stopped');
        const [file = ''] = await world.filesOf(vm);
        await lvm.run(`qemu-img resize -q -f qcow2 ${file} +512K`);
        there.shareGroup(true);
        const said = await port.preflight(orderFor(vm, target), notAborted());
        there.shareGroup(false);
        const sentences = said.kind === 'refused' ? said.faults.map((f) => f.sentence) : [];
        expect(sentences).toEqual([
          expect.stringContaining('lvmlockd does not guard it'),
          expect.stringContaining('grow the disk by 3670016 bytes first'),
        ]);
        expect(await world.begun(vm)).toBe(0);
      },
    );

    itAtLength(
      'and its sister are both begun by a second order of the same attempt when the first died between them, and both are stopped',
      async () => {
        const { port, target, world, newVm } = away.subject;
        const vm = await newVm('running', 2);
        const sources = await world.filesOf(vm);
        const before = await prepared(port, orderFor(vm, target));
        const first = before.disks[0]?.wanted?.path ?? '';
        await lvm.run(
          `virsh -q blockcopy ${vm.name} vda --dest ${first} --format raw --transient-job --synchronous-writes`,
        );
        const found = await port.find(before, 'there', before.readAt, notAborted());
        expect(found).toMatchObject({ kind: 'found', unfinished: true });
        const said = await port.submit(before, 'there', notAborted());
        if (said.kind !== 'accepted') throw new Error(`${said.kind}: ${said.fault.sentence}`);
        expect(await port.find(before, 'there', before.readAt, notAborted())).toEqual({
          kind: 'found',
          task: said.task,
        });
        expect(await followed(port, before, said.task)).toBe('ready');
        expect((await port.classify(before, known, notAborted())).kind).toBe('IN_PROGRESS');
        expect(await port.cancel(before, said.task, notAborted())).toEqual({ kind: 'ok' });
        expect(await followed(port, before, said.task)).toBe('failed');
        const verdict = await port.classify(before, known, notAborted());
        expect(verdict).toMatchObject({ kind: 'NOT_MOVED', leftovers: [{ what: 'copy' }, { what: 'copy' }] });
        const leftovers = 'leftovers' in verdict ? verdict.leftovers : [];
        expect(await port.remove(before, leftovers, notAborted())).toEqual({ kind: 'ok' });
        expect(await world.filesOf(vm)).toEqual(sources);
        expect(await world.runs(vm)).toBe(true);
      },
    );

    /** One that no VM names; `made`: by VMedic, as its tag says. */
    const loose = async (name: string, made: boolean): Promise<string> => {
      const path = `/dev/vmvg/${name}`;
      const tag = made ? '--addtag vmedic.made-for-a-case' : '';
      await lvm.run(
        `lvcreate -q -y -Wn -Zn -L 4M -n ${name} ${tag} vmvg && dd if=/dev/urandom of=${path} bs=1M count=4 conv=fsync status=none && lvchange -an ${path}`,
      );
      return path;
    };
    let orders = 0;
    const looseOrder = (file: string, to: PoolId): MoveOrder => ({
      ...{ attempt: `m${String((orders += 1)).padStart(12, '0')}`, vmId: undefined, hostId: lvmHost, file },
      disks: [{ disk: looseKey(file), to }],
    });
    const movedLoose = async (port: VolumeMovesPort, order: MoveOrder) => {
      const before = await prepared(port, order);
      const { verdict } = await carriedOut(port, before);
      if (verdict.kind !== 'MOVED') throw new Error(JSON.stringify(verdict));
      return { before, verdict, path: verdict.disks[0]?.at.path ?? '' };
    };

    itAtLength('that belongs to no VM moves to a file and back, byte for byte', async () => {
      const { port, world } = away.subject;
      let path = await loose('case-loose', true);
      const content = await lvm.run(`lvchange -ay ${path} && sha256sum <${path}; lvchange -an ${path}`);
      for (const to of [away.subject.target, lvmPool]) {
        const { before, verdict, path: now } = await movedLoose(port, looseOrder(path, to));
        expect(verdict.leftovers).toEqual([{ poolId: before.disks[0]?.at.poolId, path, what: 'source' }]);
        expect(await port.remove(before, verdict.leftovers, notAborted())).toEqual({ kind: 'ok' });
        expect(await world.exists(path)).toBe(false);
        const after = await port.classify(before, known, notAborted());
        expect(after).toMatchObject({ kind: 'MOVED', leftovers: [] });
        path = now;
      }
      expect(path).toMatch(/^\/dev\/vmvg\/disk-case-loose-m\d{12}$/);
      expect(await lvm.run(`lvchange -ay ${path} && sha256sum <${path}`)).toBe(content);
    });

    itAtLength('that belongs to no VM, and that VMedic has not made, stays beside its copy', async () => {
      const { port, target, world } = away.subject;
      const path = await loose('case-theirs', false);
      const { before, verdict } = await movedLoose(port, looseOrder(path, target));
      expect(verdict.leftovers).toMatchObject([
        { path, what: 'source', stays: expect.stringContaining('has not made') },
      ]);
      expect(await port.remove(before, verdict.leftovers, notAborted())).toMatchObject({ kind: 'refused' });
      expect(await world.exists(path)).toBe(true);
      expect(await lvm.isActive(path)).toBe(false);
    });

    itAtLength('that belongs to no VM is not touched while anybody needs it', async () => {
      const { port, target, newVm, world } = away.subject;
      const path = await loose('case-needed', true);
      const why = async (): Promise<string> => {
        const said = await port.preflight(looseOrder(path, target), notAborted());
        return said.kind === 'refused' ? said.faults.map((f) => f.sentence).join('\n') : 'ready';
      };
      expect(await why()).toBe('ready');
      await lvm.run(
        `lvchange -ay ${path} && { nohup sleep 600 <${path} >/dev/null 2>&1 & echo $! >/keep/holder; }`,
      );
      expect(await why()).toContain('has it open');
      await lvm.run('kill $(cat /keep/holder)');
      await lvm.run(`qemu-img create -q -f qcow2 -b ${path} -F raw /keep/disks/over.qcow2`);
      expect(await why()).toContain('over.qcow2 is built on it');
      await lvm.run('rm /keep/disks/over.qcow2');
      const vm = await newVm('stopped');
      const [disk = ''] = await world.filesOf(vm);
      await lvm.run(
        `virsh -q dumpxml ${vm.name} | sed 's#${disk}#/dev/mapper/vmvg-case--needed#' >/keep/x.xml && virsh -q define /keep/x.xml`,
      );
      expect(await why()).toContain(`${vm.name} on ${lvmHost} names it`);
    });

    itAtLength(
      'that belongs to no VM is where it was when its copy is stopped, and stays when it has changed since',
      async () => {
        const { port, target, world } = away.subject;
        const path = await loose('case-stopped', true);
        const before = await prepared(port, looseOrder(path, target));
        const said = await port.submit(before, 'there', notAborted());
        if (said.kind !== 'accepted') throw new Error(said.kind);
        await port.cancel(before, said.task, notAborted());
        await followed(port, before, said.task);
        const verdict = await port.classify(before, known, notAborted());
        const leftovers = 'leftovers' in verdict ? verdict.leftovers : [];
        // It may have been whole before it could be stopped.
        if (verdict.kind === 'NOT_MOVED')
          expect(await port.remove(before, leftovers, notAborted())).toEqual({ kind: 'ok' });
        expect(await world.exists(path)).toBe(true);
        const { before: again, verdict: moved } = await movedLoose(port, looseOrder(path, target));
        await lvm.run(
          `lvchange -ay ${path} && echo changed | dd of=${path} conv=notrunc,fsync status=none && lvchange -an ${path}`,
        );
        expect(await port.remove(again, moved.leftovers, notAborted())).toMatchObject({
          kind: 'refused',
          fault: { facts: { detail: expect.stringContaining('not equal to its copy') } },
        });
        expect(await world.exists(path)).toBe(true);
      },
    );

    itAtLength('that belongs to no VM is not removed with a snapshot of it', async () => {
      const { port, target, world } = away.subject;
      const path = await loose('case-origin', true);
      const { before, verdict } = await movedLoose(port, looseOrder(path, target));
      await lvm.run(`lvcreate -q -y -s -L 4M -n case-snapshot ${path}`);
      expect(await port.remove(before, verdict.leftovers, notAborted())).toMatchObject({
        kind: 'refused',
        fault: { facts: { detail: expect.stringContaining('snapshots would go with it') } },
      });
      expect([await world.exists(path), await world.exists('/dev/vmvg/case-snapshot')]).toEqual([true, true]);
    });

    itAtLength(
      'of another identity under the same name is touched by nothing that was ordered for the first',
      async () => {
        const { port, target, world, newVm } = away.subject;
        const vm = await newVm('stopped');
        const [source = ''] = await world.filesOf(vm);
        const before = await prepared(port, orderFor(vm, target));
        const name = source.split('/').at(-1) ?? '';
        await lvm.run(
          `lvremove -q -y ${source} && lvcreate -q -y -an -Wn -Zn -L 4M -n ${name} --addtag vmedic.other vmvg`,
        );
        expect((await port.classify(before, known, notAborted())).kind).toBe('UNKNOWN');
        const left = [{ poolId: lvmPool, path: source, what: 'source' }] as const;
        // Nobody names it any more, and it carries a tag of ours: only its identity speaks for it.
        await lvm.run(
          `virsh -q dumpxml --inactive ${vm.name} | sed 's#${source}#/dev/vmvg/vm2#' >/keep/x.xml && virsh -q define /keep/x.xml`,
        );
        expect(await port.remove(before, left, notAborted())).toMatchObject({
          kind: 'refused',
          fault: { facts: { detail: expect.stringContaining('another volume') } },
        });
        expect(await world.exists(source)).toBe(true);
      },
    );
  });
});
