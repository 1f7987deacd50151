/** Disks between files and logical volumes, by real LVM, libvirt and QEMU. */
import { describeOnLvmHost, type LvmHost, lvmPool, openLvmHost } from '../support/lvm-host';
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
