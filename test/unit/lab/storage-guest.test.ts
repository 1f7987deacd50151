/** A guest of the storage lab as its own machine sees it, without a QEMU. */
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StorageGuest } from '../../../lab/storage/guest';

let folder: string;
const servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmedic-guest-'));
  mkdirSync(join(folder, 'hv'));
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((s) => new Promise((done) => s.close(done))));
  rmSync(folder, { recursive: true });
});

const guest = (): StorageGuest =>
  new StorageGuest(folder, {
    ...{ spec: { name: 'hv', role: 'idle' }, folder: join(folder, 'hv'), address: '10.0.0.1', sshPort: 1 },
  });

/** The power switch: it says so often that the machine is on. */
function powerSwitch(script: string): void {
  writeFileSync(join(folder, 'host'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'host'), 0o755);
}

const listen = (path: string): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined).write('{"QMP":{}}\n');
      socket.setEncoding('utf8').on('data', (text: string) => {
        for (const line of text.trim().split('\n'))
          socket.write(`{"return":${line.includes('query-status') ? '{"status":"paused"}' : '{}'}}\n`);
      });
    });
    server.listen(path, () => resolve(server));
  });

/** As between bind and listen: the file is there, and nobody at it. */
async function boundOnly(path: string): Promise<void> {
  const server = await listen(`${path}.was`);
  renameSync(`${path}.was`, path);
  await new Promise((done) => server.close(done));
}

it('waits for a QEMU whose socket is there before anybody listens at it', async () => {
  const qmp = join(folder, 'hv', 'qmp');
  await boundOnly(qmp);
  powerSwitch(`echo "$1" >>${folder}/asked; echo on`);
  const back = guest().readState('/dev/null');
  const early = await Promise.race([
    back.then(() => 'back'),
    new Promise((r) => setTimeout(r, 600, 'waits')),
  ]);
  expect(early).toBe('waits');
  rmSync(qmp);
  servers.push(await listen(qmp));
  await expect(back).resolves.toBeUndefined();
});

it('says so when the machine went off instead of coming back', async () => {
  await boundOnly(join(folder, 'hv', 'qmp'));
  powerSwitch('echo off');
  await expect(guest().readState('/dev/null')).rejects.toThrow('guest hv did not come back');
});
