import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { domainXml } from '../../../lab/guest/domain-xml';
import {
  HEAD_SECTOR,
  RING_SECTOR,
  SECTOR,
  assembledCode,
  bootCode,
  ringSizeFor,
  ringSizeOf,
} from '../../../lab/guest/layout';
import { labFile } from '../../../lab/lab-file';
import { testIf } from '../../support/optional';

const source = readFileSync(labFile('guest/beat.asm'), 'utf8');
const nasm = spawnSync('nasm', ['-v']).status === 0;

describe('the boot sector', () => {
  testIf(
    nasm,
    'nasm is not installed',
    'beyond-ci',
  )('that is committed is the one its source gives', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vmedic-beat-'));
    try {
      const image = join(folder, 'beat.bin');
      const ran = spawnSync('nasm', ['-f', 'bin', labFile('guest/beat.asm'), '-o', image], {
        encoding: 'utf8',
      });
      expect(ran.stderr).toBe('');
      expect(assembledCode().equals(readFileSync(image))).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    ['head_sector', HEAD_SECTOR],
    ['ring_sector', RING_SECTOR],
  ])('and its readers agree on %s', (name, value) => {
    expect(Number(new RegExp(`^${name}\\s+equ (\\d+)`, 'm').exec(source)?.[1])).toBe(value);
  });

  it('ends before the head, carries the BIOS signature, and has its settings where the assembly left them', () => {
    const code = assembledCode();
    expect(code.length).toBeLessThanOrEqual(HEAD_SECTOR * SECTOR);
    expect(code.readUInt16LE(510)).toBe(0xaa55);
    expect(code.subarray(0x1e0, 0x1eb).toString('hex')).toBe('1200ff0f00000000000000');
  });

  it('is set to an interval, a ring and an act', () => {
    const code = bootCode({ ticks: 2, ringSize: 1024, act: { afterBeats: 7, how: 'reset' } });
    expect(code.subarray(0x1e0, 0x1eb).toString('hex')).toBe('0200ff0300000700000003');
    expect(ringSizeOf(code)).toBe(1024);
  });

  it('refuses a ring that is no power of two, an interval of nothing, and a disk without room', () => {
    expect(() => bootCode({ ticks: 2, ringSize: 1000 })).toThrow('power of two');
    expect(() => bootCode({ ticks: 0, ringSize: 1024 })).toThrow('ticks');
    expect(() => ringSizeFor(RING_SECTOR * SECTOR)).toThrow('no room');
    expect(ringSizeFor(4 * 1024 * 1024)).toBe(4096);
  });
});

describe('the domain of a guest', () => {
  const domain = {
    name: 'vm-01',
    uuid: '8f389645-196b-45ff-93b9-0736de816557',
    disk: '/l/disks/vm-01.raw',
    format: 'raw',
    serial: '/l/serial/vm-01.log',
  } as const;

  it('has a lock on its disk unless it is asked to share it', () => {
    expect(domainXml(domain)).not.toContain('shareable');
    expect(domainXml({ ...domain, shareable: true })).toContain('<shareable/>');
  });

  it('refuses to share what libvirt would not', () => {
    expect(() => domainXml({ ...domain, format: 'qcow2', shareable: true })).toThrow('must be raw');
  });

  it('appends to its serial file, so that what an earlier host saw is kept', () => {
    expect(domainXml(domain)).toContain("<source path='/l/serial/vm-01.log' append='on'/>");
  });
});
