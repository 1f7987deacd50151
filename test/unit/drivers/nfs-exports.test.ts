import {
  cutTargets,
  cutWords,
  exportsFrom,
  overlaps,
  restoreWords,
  whyOpen,
} from '../../../drivers/nfs/exports';

const options = 'sync,wdelay,hide,no_subtree_check,sec=sys,rw,secure,no_root_squash,no_all_squash';
const readOnly = options.replace(',rw,', ',ro,');
const table = (...lines: readonly string[]) => exportsFrom([...lines, 'complete'].join('\n'));
const wordsFor = (names: readonly string[], ...lines: readonly string[]): string[] =>
  cutWords(cutTargets(table(...lines), '/srv/vm', names));

describe('the entry that keeps exactly one host from writing', () => {
  it('stands beside an entry for a network, with the same options but for that', () => {
    expect(wordsFor(['10.0.0.11'], `export /srv/vm  10.0.0.0/24(${options})`)).toEqual([
      ...['/srv/vm', '10.0.0.11', '-', '10.0.0.11:/srv/vm', readOnly],
    ]);
  });

  it('takes the place of the host’s own entry, by whatever name, and leaves those of others', () => {
    const words = wordsFor(
      ['10.0.0.11'],
      `export /srv/vm hv-a.example(${options})`,
      `export /srv/vm hv-b.example(${options})`,
      'name hv-a.example 10.0.0.11 ',
      'name hv-b.example 10.0.0.12 ',
    );
    expect(words).toEqual(['/srv/vm', 'hv-a.example', options, 'hv-a.example:/srv/vm', readOnly]);
  });

  it('is one for each address of the host, in brackets where it is long', () => {
    const words = wordsFor(['10.0.0.11', 'fd00::11', 'hv-a'], `export /srv/vm *(${options})`);
    expect(words.filter((w) => w.endsWith(':/srv/vm'))).toEqual(['10.0.0.11:/srv/vm', '[fd00::11]:/srv/vm']);
  });

  it('is made for every export through which the folder is reached, and for no other', () => {
    const words = wordsFor(
      ['10.0.0.11'],
      `export /srv *(${options},fsid=0)`,
      `export /srv/vm/gold *(${options})`,
      `export /srv/vmware *(${options})`,
      `export /home *(${options})`,
    );
    expect(words.filter((w) => w.startsWith('/'))).toEqual(['/srv', '/srv/vm/gold']);
  });

  it('leaves exports alone that do not let the host in', () => {
    expect(wordsFor(['10.0.0.11'], `export /srv/vm 10.9.0.0/255.255.0.0(${options})`)).toEqual([]);
    expect(wordsFor(['10.0.0.11'], `export /srv/vm 10.0.0.12(${options})`)).toEqual([]);
    expect(wordsFor(['10.0.0.11'], `export /srv/vm 10.0.0.0/255.255.255.0(${options})`)).toHaveLength(5);
    expect(wordsFor(['10.0.0.11'], `export /srv/vm @hypervisors(${options})`)).toHaveLength(5);
  });

  it('takes the right to write of every way of authentication', () => {
    const [, , , , written] = wordsFor(
      ['10.0.0.11'],
      'export /srv/vm *(sync,sec=krb5,rw,secure,sec=sys,rw,insecure)',
    );
    expect(written).toBe('sync,sec=krb5,ro,secure,sec=sys,ro,insecure');
  });

  it('is not made again once it is there', () => {
    const there = [`export /srv/vm *(${options})`, `export /srv/vm 10.0.0.11(${readOnly})`];
    expect(wordsFor(['10.0.0.11'], ...there)).toEqual([]);
  });
});

describe('whether a host may still write', () => {
  const names = ['10.0.0.11'];
  const cut = [`export /srv/vm *(${options})`, `export /srv/vm 10.0.0.11(${readOnly})`];
  const why = (...lines: readonly string[]): string | undefined => {
    const read = table(...lines);
    return whyOpen(read, cutTargets(read, '/srv/vm', names), names);
  };

  it('is no once its own entry is read-only', () => {
    expect(why(...cut)).toBeUndefined();
    expect(why(...cut, 'live /srv/vm\t*(rw,sync)', 'known nfsd 10.0.0.12 *')).toBeUndefined();
    expect(why(...cut, 'known nfsd 10.0.0.11 *,10.0.0.11')).toBeUndefined();
  });

  it('is yes while it has none', () => {
    expect(why(`export /srv/vm *(${options})`)).toContain('exported to it for writing');
  });

  it('is yes while the kernel goes by what was exported before, whatever the table says', () => {
    expect(why(...cut, 'known nfsd 10.0.0.11 *')).toContain('former exports');
    expect(why(...cut, 'live /srv/vm\t*,10.0.0.11(rw,sync)')).toContain(
      'the kernel has /srv/vm in use for it',
    );
  });

  it('is not asked of what the kernel has let go', () => {
    expect(why(...cut, 'known # nfsd 10.0.0.11 *', 'live # /srv/vm\t*,10.0.0.11(rw)')).toBeUndefined();
  });
});

describe('the way back', () => {
  const mark = (line: string) => `mark /srv/vm 10.0.0.11 ${line}`;
  const back = (...lines: readonly string[]): string[] => {
    const read = table(...lines);
    return restoreWords(read, read.marks);
  };

  it('takes away the entry that was not there before, and gives back the one that was', () => {
    const now = `export /srv/vm 10.0.0.11(${readOnly})`;
    expect(back(now, mark('-'))).toEqual(['10.0.0.11:/srv/vm', '-']);
    expect(back(now, mark(options))).toEqual(['10.0.0.11:/srv/vm', options]);
  });

  it('finds it by another of its names', () => {
    const now = [`export /srv/vm hv-a(${readOnly})`, 'name hv-a 10.0.0.11'];
    expect(back(...now, mark('-'))).toEqual(['10.0.0.11:/srv/vm', '-']);
  });

  it('touches nothing that nobody of us cut, or that somebody has changed since', () => {
    expect(back(`export /srv/vm 10.0.0.11(${readOnly})`)).toEqual([]);
    expect(back(`export /srv/vm 10.0.0.11(${options})`, mark('-'))).toEqual([]);
    expect(back(mark('-'))).toEqual([]);
  });
});

it('never takes half a table for a whole one', () => {
  expect(() => exportsFrom(`export /srv/vm *(${options})`)).toThrow('cut short');
});

it('knows folders by whole names', () => {
  expect([overlaps('/srv', '/srv/vm'), overlaps('/srv/vm', '/srv'), overlaps('/', '/srv')]).toEqual([
    ...[true, true, true],
  ]);
  expect([overlaps('/srv/vm', '/srv/vm2'), overlaps('/srv/v', '/srv/vm')]).toEqual([false, false]);
});
