import { type BmcFault, faultWords, readFaultWords } from '../../../lab/bmc/faults';

describe('the faults of a BMC', () => {
  it('arrive as they were set', () => {
    const faults: BmcFault[] = [
      { kind: 'lying' },
      { kind: 'power-reads', power: 'off' },
      { kind: 'slow', seconds: 1.5 },
    ];
    expect(readFaultWords(faultWords(faults))).toEqual({
      lying: true,
      refuseLogin: false,
      frozen: false,
      slowMs: 1500,
      powerReads: 'off',
    });
  });

  it('are none when none are set, or when they are done to its process', () => {
    const whole = { lying: false, refuseLogin: false, frozen: false, slowMs: 0, powerReads: undefined };
    expect(readFaultWords('')).toEqual(whole);
    expect(readFaultWords(faultWords([{ kind: 'silent' }, { kind: 'gone' }]))).toEqual(whole);
  });
});
