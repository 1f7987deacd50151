import { DriverFault } from '../../../domain/faults';
import { inOrder, together } from '../../../drivers/postgres/together';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Answers each key with itself and the number of its read; each read ends when it is let go. */
function gated(fails: (keys: readonly string[]) => Error | undefined = () => undefined) {
  const reads: { readonly keys: readonly string[]; go: () => void }[] = [];
  const ask = together(async (keys: readonly string[]) => {
    const number = reads.length + 1;
    await new Promise<void>((go) => reads.push({ keys, go }));
    const error = fails(keys);
    if (error !== undefined) throw error;
    return keys.map((key) => `${key}${number}`);
  });
  return { reads, ask };
}

describe('reads for many askers', () => {
  it('serve who asks meanwhile by one next read, begun after they asked', async () => {
    const { reads, ask } = gated();
    const asked = ['a', 'b', 'c'].map(ask);
    expect(reads.map((r) => r.keys)).toEqual([['a']]);
    reads[0]!.go();
    await turn();
    expect(reads.map((r) => r.keys)).toEqual([['a'], ['b', 'c']]);
    reads[1]!.go();
    expect(await Promise.all(asked)).toEqual(['a1', 'b2', 'c2']);
    void ask('d');
    await turn();
    expect(reads).toHaveLength(3);
  });

  it('fail together when the server is away', async () => {
    const away = new DriverFault('INVENTORY_UNREACHABLE', { detail: 'planted' });
    const { reads, ask } = gated((keys) => (keys.includes('b') ? away : undefined));
    const [first, ...others] = ['a', 'b', 'c'].map(ask);
    reads[0]!.go();
    expect(await first).toBe('a1');
    reads[1]!.go();
    expect(await Promise.allSettled(others)).toEqual([
      { status: 'rejected', reason: away },
      { status: 'rejected', reason: away },
    ]);
  });

  it('fail for one key alone when it is that key that is wrong', async () => {
    const wrong = new Error('planted');
    const { reads, ask } = gated((keys) => (keys.includes('b') ? wrong : undefined));
    const [first, second, third] = ['a', 'b', 'c'].map(ask);
    reads[0]!.go();
    await first;
    reads[1]!.go();
    await turn();
    expect(reads.slice(2).map((r) => r.keys)).toEqual([['b'], ['c']]);
    reads.slice(2).forEach((r) => r.go());
    await expect(second).rejects.toBe(wrong);
    expect(await third).toBe('c4');
  });

  it('give each asker its own row, and none for a key that has no row', () => {
    const rows = [{ id: 'b' }, { id: 'a' }];
    expect(inOrder(['a', 'x', 'b', 'a'], rows, (r) => r.id)).toEqual([rows[1], undefined, rows[0], rows[1]]);
  });
});
