import { createSocket } from 'node:dgram';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clientsFrom } from '../../../drivers/nfs/clients';
import { identityOf, sameFile, tableFrom } from '../../../drivers/nfs/lock-table';
import { isMountedHere } from '../../../drivers/nfs/nfs-appliance';
import type { NfsPool } from '../../../drivers/nfs';
import { poolId } from '../../../domain/ids';
import { obstacle, sightsFrom } from '../../../drivers/nfs/on-target';
import {
  asRecord,
  callByUdp,
  fromRecord,
  rpcCall,
  rpcResult,
  uint32,
  xdrString,
} from '../../../drivers/nfs/rpc';
import { newState, notifyBody, smNotify } from '../../../drivers/nfs/statd';

describe('an RPC call', () => {
  it('is laid out as RFC 5531 says, with the name padded to a multiple of four', () => {
    const { message } = rpcCall(smNotify, notifyBody('10.77.0.12', 7), 0x01020304);
    const head = [0x01020304, 0, 2, 100_024, 1, 6, 0, 0, 0, 0].map(uint32);
    const name = Buffer.from('0000000a31302e37372e302e31320000', 'hex');
    expect(message).toEqual(Buffer.concat([...head, name, uint32(7)]));
  });

  it('pads nothing where nothing is to be padded', () => {
    expect(xdrString('abcd')).toEqual(Buffer.from('0000000461626364', 'hex'));
    expect(xdrString('')).toEqual(uint32(0));
  });

  it('takes only the answer to this very call, and only success', () => {
    const accepted = (xid: number, status: number) => Buffer.concat([xid, 1, 0, 0, 0, status].map(uint32));
    expect(rpcResult(Buffer.concat([accepted(5, 0), uint32(9)]), 5)).toEqual(uint32(9));
    expect(() => rpcResult(accepted(6, 0), 5)).toThrow('another call');
    expect(() => rpcResult(accepted(5, 1), 5)).toThrow('accept status 1');
    expect(() => rpcResult(Buffer.concat([5, 1, 1, 0, 0, 0].map(uint32)), 5)).toThrow('refused');
    expect(() => rpcResult(Buffer.alloc(8), 5)).toThrow('8 bytes only');
  });

  it('is one record over TCP, and a record cut short is no answer', () => {
    const record = asRecord(Buffer.from('hello'));
    expect(record.readUInt32BE(0)).toBe(0x8000_0005);
    expect(fromRecord(record).toString()).toBe('hello');
    expect(() => fromRecord(record.subarray(0, 7))).toThrow('3 of 5 bytes');
  });

  it('is sent again over UDP until it is answered, with the same id', async () => {
    const heard: number[] = [];
    const server = createSocket('udp4');
    server.on('message', (message, from) => {
      heard.push(message.readUInt32BE(0));
      if (heard.length < 2) return;
      server.send(Buffer.concat([heard[0] as number, 1, 0, 0, 0, 0].map(uint32)), from.port, from.address);
    });
    await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
    const { port } = server.address();
    try {
      await callByUdp(
        { address: '127.0.0.1', port },
        smNotify,
        notifyBody('a', 1),
        5_000,
        new AbortController().signal,
      );
      expect(new Set(heard).size).toBe(1);
      expect(heard.length).toBe(2);
    } finally {
      server.close();
    }
  });
});

it('never sends a state that statd could take for "not up" or for the one it has', () => {
  expect(newState(1_800_000_000_000)).toBe(1_800_000_001);
  expect(newState(1_800_000_002_000)).not.toBe(newState(1_800_000_000_000));
  expect(newState(0)).toBe(1);
});

describe('the lock table of a server', () => {
  const printed = [
    'file 65040 32',
    'file - -',
    'lock 1: POSIX  ADVISORY  READ 512 fe:10:32 100 101',
    'lock 1: -> POSIX  ADVISORY  WRITE 513 fe:10:32 100 101',
    'lock 2: FLOCK  ADVISORY  WRITE 118 00:1a:9 0 EOF',
    'lock 3: LEASE  ACTIVE    READ 9 fe:10:32 0 EOF',
    'monitored hv-a 0100007f 000186b5 00000003 00000010 d8af8d8c00000000 10.77.0.12 nfs',
    'complete',
  ];

  it('says what is held on which file, and leaves out who only waits', () => {
    const table = tableFrom(printed.join('\n'));
    expect(table.files).toEqual([{ device: 'fe:10', inode: '32' }, undefined]);
    const held = table.locks.filter((l) => sameFile(table.files[0], l.file)).map((l) => l.range);
    expect(held).toEqual(['read 100-101']);
    expect(table.monitored).toEqual([{ file: 'hv-a', monName: '10.77.0.12' }]);
  });

  it('is no table when its end is missing: half of one looks like free images', () => {
    expect(() => tableFrom(printed.slice(0, -1).join('\n'))).toThrow('cut short');
    expect(() => clientsFrom('client 3')).toThrow('cut short');
  });

  it('reads a device number as glibc splits it, beyond eight bits as well', () => {
    expect(identityOf('65040', '7')).toEqual({ device: 'fe:10', inode: '7' });
    expect(identityOf(String(0x1_0000_3 * 16), '7')?.device).toMatch(/^[0-9a-f]+:[0-9a-f]+$/);
    expect(identityOf('-', '-')).toBeUndefined();
  });
});

it('knows an NFSv4 client by its address, and takes its locks for held but not its opens', () => {
  const table = clientsFrom(
    [
      'file 65040 32',
      'lease 10',
      'client 7',
      'info clientid: 0x5f3c1e2a6a1b2c3d',
      'info address: "10.77.0.12:793"',
      'info status: confirmed',
      'info name: "Linux NFSv4.2 hv-a"',
      'state - 0x00000001: { type: open, access: rw, deny: --, superblock: "fe:10:32", filename: "vm-a", owner: "x" }',
      'state - 0x00000002: { type: lock, superblock: "fe:10:32", filename: "vm-a", owner: "y" }',
      'lock 1: POSIX  ADVISORY  READ 512 fe:10:32 100 101',
      'complete',
    ].join('\n'),
  );
  expect(table.locked).toEqual([
    { file: { device: 'fe:10', inode: '32' }, range: 'read 100-101', pid: '512' },
  ]);
  expect(table.leaseSeconds).toBe(10);
  expect(table.clients).toEqual([
    {
      ...{ id: '7', address: '10.77.0.12', name: 'Linux NFSv4.2 hv-a', status: 'confirmed' },
      locks: [{ lockId: '0x00000002', file: { device: 'fe:10', inode: '32' } }],
    },
  ]);
});

it('takes an image of which nothing was said for one that hangs, never for a free one', () => {
  const sights = sightsFrom(['/p/a', '/p/b', '/p/c'], '0 free\n2 unguarded nolock\n');
  expect(sights.map((s) => s.says)).toEqual(['free', 'hung', 'unguarded']);
  expect(sights.map(obstacle)).toEqual([
    undefined,
    expect.stringContaining('hangs'),
    expect.stringContaining('"nolock"'),
  ]);
});

it('sees that this machine mounts the appliance itself, by name and by address', () => {
  const pool = { id: poolId('vms'), server: 'filer', statd: { address: '10.0.0.5' } } as NfsPool;
  expect(isMountedHere(pool, 'filer:/vol /mnt nfs rw,vers=3,addr=10.0.0.5 0 0')).toBe(true);
  expect(isMountedHere(pool, 'other:/vol /mnt nfs4 rw,addr=10.0.0.5 0 0')).toBe(true);
  expect(isMountedHere(pool, 'other:/vol /mnt nfs rw,addr=10.0.0.6 0 0\nfiler:/x /m ext4 rw 0 0')).toBe(
    false,
  );
});

describe('the ways of freeing locks that take every host’s', () => {
  const forbidden = [
    /unlock_ip/,
    /unlock_filesystem/,
    /rpc\.nfsd/,
    /nfs-(kernel-)?server/,
    /systemctl/,
    /\bmount\s+-/,
    /remount/,
  ];
  /** To mount without locks, that is: what only looks for such a mount stands by itself, or in a sentence. */
  const withoutLocks =
    /(-o|--options)[ =,'"]*[\w=,]*\b(nolock|local_lock=)|\bmount\b[^\n`']*[ ,](nolock|local_lock=)/;
  const sources = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
  const root = join(__dirname, '../../..');
  /** What could run: sentences for people and comments may name what must not be done. */
  const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = (text: string): RegExp[] => forbidden.filter((way) => way.test(withoutComments(text)));

  it('are in no code that could run: no path leads there', () => {
    const folders = ['drivers', 'activities', 'workflows', 'client', 'workers', 'domain'];
    const texts = folders.flatMap((folder) => sources(join(root, folder)));
    expect(texts.filter((text) => withoutLocks.test(withoutComments(text)))).toEqual([]);
    expect(texts.length).toBeGreaterThan(100);
    const scripts = sources(join(root, 'drivers/nfs')).join('\n');
    expect(scripts).toContain('/proc/locks');
    expect(
      texts.filter((text) => /unlock_ip|unlock_filesystem|rpc\.nfsd/.test(withoutComments(text))),
    ).toEqual([]);
    expect(found(scripts.replace(/remount it with locks/g, ''))).toEqual([]);
  });

  it('would be found', () => {
    expect(found("run('echo 10.0.0.5 > /proc/fs/nfsd/unlock_ip')")).toHaveLength(1);
    expect(found('/* never unlock_ip */')).toEqual([]);
    expect(withoutLocks.test("run('mount -t nfs -o vers=3,nolock nfs:/srv /vms')")).toBe(true);
    expect(withoutLocks.test("run(['mount', '-o', 'nolock', where])")).toBe(true);
    expect(withoutLocks.test('run(`mount -t nfs ${from} ${to} -o rw,local_lock=all`)')).toBe(true);
  });
});
