import {
  claimsOf,
  fencedAlive,
  fencing,
  parseFenceNotes,
  parseVmNotes,
  ranTwice,
  spread,
  upAgain,
} from '../../../bench/peers/pacemaker/figures';

const notes = (byNode: Record<string, string>): Map<string, ReturnType<typeof parseVmNotes>> =>
  new Map(Object.entries(byNode).map(([node, text]) => [node, parseVmNotes(text)]));

const moved = { n3: '1.0 begin vm1\n1.1 up vm1\n', n1: '9.0 begin vm1\n9.5 up vm1\n' };
const died = new Map([['n3', 5000]]);

describe('the claims of a VM', () => {
  it('end when the power of their node is cut, so that a VM which moved ran once', () => {
    expect(ranTwice(claimsOf(notes(moved), died))).toEqual([]);
  });

  it('overlap when the old node was never cut: the same notes are then a VM that ran twice', () => {
    expect(ranTwice(claimsOf(notes(moved), new Map()))).toEqual(['vm1']);
  });

  it('overlap when a second start only began before the first copy was down', () => {
    const early = notes({ n1: '1 begin vm1\n2 up vm1\n8 down vm1\n', n2: '7 begin vm1\n9 up vm1\n' });
    const late = notes({ n1: '1 begin vm1\n2 up vm1\n8 down vm1\n', n2: '8.5 begin vm1\n9 up vm1\n' });
    expect(ranTwice(claimsOf(early, new Map()))).toEqual(['vm1']);
    expect(ranTwice(claimsOf(late, new Map()))).toEqual([]);
  });

  it('count even when a start never finished', () => {
    const begun = notes({ n1: '1 begin vm1\n', n2: '2 begin vm1\n3 up vm1\n' });
    expect(ranTwice(claimsOf(begun, new Map()))).toEqual(['vm1']);
  });

  it('are not two when one node starts the same VM again', () => {
    const again = notes({ n1: '1 begin vm1\n2 up vm1\n3 down vm1\n4 begin vm1\n5 up vm1\n' });
    expect(ranTwice(claimsOf(again, new Map()))).toEqual([]);
  });
});

describe('a VM is back', () => {
  it('when it is up on a living node after the failure, and not before', () => {
    expect(upAgain(claimsOf(notes(moved), died), 5000)).toEqual([9500]);
    expect(upAgain(claimsOf(notes({ n3: moved.n3 }), died), 5000)).toEqual([]);
  });

  it('not while its start has only begun, nor once it is down again', () => {
    expect(upAgain(claimsOf(notes({ n1: '9 begin vm1\n' }), died), 5000)).toEqual([]);
    expect(upAgain(claimsOf(notes({ n1: '9 begin vm1\n9.5 up vm1\n9.9 down vm1\n' }), died), 5000)).toEqual(
      [],
    );
  });
});

describe('notes', () => {
  it('leave a line out whose end is not written yet', () => {
    expect(parseVmNotes('1.5 begin vm1\n1.6 up v')).toEqual([{ atMs: 1500, what: 'begin', vm: 'vm1' }]);
  });

  it('of an unknown kind are refused', () => {
    expect(() => parseVmNotes('1 sideways vm1\n')).toThrow('sideways');
    expect(() => parseFenceNotes('1 sideways n1\n')).toThrow('sideways');
  });
});

describe('the fence', () => {
  const switched = parseFenceNotes('6 begin n3 \n6.4 end n3 1\n7 begin n3 \n7.4 end n3 0\n');

  it('is over when the switch has read off, not when it was first asked', () => {
    expect(fencing(switched, 'n3', 5000)).toEqual({ beginMs: 6000, endMs: 7400 });
  });

  it('that failed is no fence', () => {
    expect(fencing(switched.slice(0, 2), 'n3', 5000)).toBeUndefined();
  });

  it('of a living node is named, because it voids the measurement', () => {
    expect(fencedAlive(switched, 'n3')).toEqual([]);
    expect(fencedAlive([...switched, ...parseFenceNotes('8 begin n1 \n')], 'n3')).toEqual(['n1']);
  });
});

describe('the spread', () => {
  it('is first, median by nearest rank, and last, counted from its origin', () => {
    expect(spread([1100, 1200, 1900, 2500], 1000)).toEqual({ firstMs: 100, medianMs: 200, lastMs: 1500 });
    expect(spread([], 1000)).toBeUndefined();
  });
});
