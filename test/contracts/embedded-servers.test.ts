import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client as TemporalClient, Connection } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../../workers/embedded/postgres';
import { identify, isAlive } from '../../workers/embedded/server-process';
import {
  provisionTemporal,
  SEARCH_ATTRIBUTES,
  startTemporalDevServer,
} from '../../workers/embedded/temporal-server';
import { testIf } from '../support/optional';

const outside = process.env['TEMPORAL_ADDRESS'];
const ownTemporal = testIf(!outside, 'TEMPORAL_ADDRESS names a server that is not ours to kill', 'beyond-ci');

let folder: string;
const stops: (() => Promise<void>)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vme-'));
});

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  rmSync(folder, { recursive: true, force: true });
});

async function postgres() {
  const server = await startEmbeddedPostgres({
    dataDir: join(folder, 'pg'),
    socketDir: join(folder, 's'),
    dieWithParent: true,
  });
  stops.push(() => server.stop());
  return server;
}

async function temporal(port?: number) {
  const server = await startTemporalDevServer({
    stateDir: join(folder, 't'),
    ui: false,
    durability: 'normal',
    dieWithParent: true,
    ...(port !== undefined && { port }),
  });
  stops.push(() => server.stop());
  return server;
}

describe('the embedded PostgreSQL', () => {
  it('keeps every acknowledged row through a SIGKILL of its parent process', async () => {
    const first = await postgres();
    const writer = new Client({ connectionString: first.url });
    writer.on('error', () => undefined); // the connection breaks on purpose
    await writer.connect();
    await writer.query('CREATE TABLE beats (n int PRIMARY KEY)');
    let acknowledged = 0;
    const writing = (async () => {
      for (;;) {
        await writer.query('INSERT INTO beats VALUES ($1)', [acknowledged]);
        acknowledged += 1;
        if (acknowledged === 100) process.kill(first.pid, 'SIGKILL');
      }
    })();
    await expect(writing).rejects.toThrow();

    const again = await postgres();
    const reader = new Client({ connectionString: again.url });
    await reader.connect();
    const { rows } = await reader.query<{ n: number }>('SELECT n FROM beats ORDER BY n');
    await reader.end();
    expect(acknowledged).toBeGreaterThanOrEqual(100);
    expect(rows.length).toBeGreaterThanOrEqual(acknowledged);
    expect(rows.map(({ n }) => n)).toEqual(rows.map((_, index) => index));
  });

  it('takes the place of the one that a dead supervisor left behind', async () => {
    const first = await postgres();
    const record = join(folder, 'pg.process.json');
    const { server } = JSON.parse(readFileSync(record, 'utf8')) as {
      server: { pid: number; startedAt: string };
    };
    writeFileSync(record, JSON.stringify({ server, supervisor: { pid: 4_194_305, startedAt: '1' } }));
    const second = await postgres();
    expect(isAlive(server)).toBe(false);
    expect(second.pid).not.toBe(first.pid);
  });

  it('takes the place of one whose record was lost', async () => {
    const first = await postgres();
    rmSync(join(folder, 'pg.process.json'));
    const second = await postgres();
    expect(identify(first.pid)).toBeUndefined();
    expect(second.pid).not.toBe(first.pid);
  });

  it('never touches the server of a supervisor that lives', async () => {
    const first = await postgres();
    const record = join(folder, 'pg.process.json');
    const mine = readFileSync(record, 'utf8');
    const { server } = JSON.parse(mine) as { server: { pid: number; startedAt: string } };
    writeFileSync(record, JSON.stringify({ server, supervisor: identify(process.ppid) }));
    await expect(postgres()).rejects.toThrow(`already run by process ${process.ppid}`);
    expect(identify(first.pid)).toEqual(server);
    writeFileSync(record, mine);
  });

  it('refuses a socket whose path the kernel cannot take, and says how long it is', async () => {
    const socketDir = join(folder, 'x'.repeat(110));
    await expect(startEmbeddedPostgres({ dataDir: join(folder, 'pg'), socketDir })).rejects.toThrow(
      /has \d+ bytes and at most 107/,
    );
  });

  it('refuses root with the way out', async () => {
    jest.spyOn(process, 'getuid').mockReturnValue(0);
    try {
      await expect(postgres()).rejects.toThrow(/refuses to run as root; run VMedic as an ordinary user/);
    } finally {
      jest.restoreAllMocks();
    }
  });

  it('reports what PostgreSQL itself says when its folder cannot be made', async () => {
    mkdirSync(join(folder, 'pg'));
    writeFileSync(join(folder, 'pg', 'foreign'), '');
    await expect(postgres()).rejects.toThrow(/ENOTEMPTY|not empty/);
  });
});

describe('the embedded Temporal server', () => {
  ownTemporal(
    'is the same server on the same port after a SIGKILL, with every run it had acknowledged',
    async () => {
      const first = await temporal();
      const port = Number(first.address.split(':')[1]);
      const start = { taskQueue: 'nobody-listens', workflowId: 'vm:survivor', args: [] };
      await withClient(first.address, (client) => client.workflow.start('restartVm', start));
      process.kill(first.pid, 'SIGKILL');
      await expect(first.exited).resolves.toEqual({ code: null, signal: 'SIGKILL' });

      const again = await temporal(port);
      expect(again.address).toBe(first.address);
      const { status } = await withClient(again.address, (client) =>
        client.workflow.getHandle('vm:survivor').describe(),
      );
      expect(status.name).toBe('RUNNING');
    },
  );

  ownTemporal('takes our search attributes on a start as soon as it is ready', async () => {
    const server = await temporal();
    const attribute = (name: string) => ({ key: defineSearchAttributeKey(name, 'KEYWORD'), value: 'vm-1' });
    const typedSearchAttributes = SEARCH_ATTRIBUTES.map(attribute);
    const start = { taskQueue: 'nobody-listens', workflowId: 'host:hv-a', args: [] };
    await withClient(server.address, (client) =>
      client.workflow.start('recoverHost', { ...start, typedSearchAttributes }),
    );
    const refused = withClient(server.address, (client) =>
      client.workflow.start('recoverHost', {
        ...start,
        workflowId: 'host:hv-b',
        typedSearchAttributes: [attribute('Unheard')],
      }),
    );
    await expect(refused).rejects.toThrow();
  });

  ownTemporal('refuses a port that another program has', async () => {
    const { port, close } = await occupiedPort();
    try {
      await expect(temporal(port)).rejects.toThrow(`port ${port} of 127.0.0.1 is in use by another program`);
    } finally {
      close();
    }
  });

  ownTemporal('says what its program wrote when it ends before it answers', async () => {
    const binary = join(folder, 'temporal');
    writeFileSync(binary, '#!/bin/sh\necho "disk I/O error" >&2\nexit 3\n', { mode: 0o755 });
    const start = startTemporalDevServer({ stateDir: join(folder, 't'), binary });
    await expect(start).rejects.toThrow(
      /ended (with code 3 before it answered|as soon as it was started)[^]*disk I\/O error/,
    );
  });

  it('is provisioned from where the run has it', async () => {
    const source = await provisionTemporal();
    expect(source.kind).toBe(outside ? 'address' : 'binary');
  });
});

async function withClient<T>(address: string, use: (client: TemporalClient) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await use(new TemporalClient({ connection }));
  } finally {
    await connection.close();
  }
}

async function occupiedPort(): Promise<{ port: number; close(): void }> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the kernel gave no port');
  return { port: bound.port, close: () => void server.close() };
}
