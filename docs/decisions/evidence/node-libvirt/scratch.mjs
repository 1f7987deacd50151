// A private folder, an unprivileged identity, and session libvirtd processes in it.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const NOBODY = 65534;

/** Started as root, daemons and probes run as "nobody": nothing here needs a privilege. */
export const identity = process.getuid() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

/** A short path on purpose: libvirt puts Unix sockets in it, and their names end at 108 bytes. */
export function makeScratch() {
  const dir = mkdtempSync(join(tmpdir(), 'nl-'));
  chmodSync(dir, 0o755);
  return dir;
}

export function removeScratch(dir) {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

function ownedFolder(path) {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (identity.uid !== undefined) chownSync(path, identity.uid, identity.gid);
  return path;
}

/**
 * One "host": a session libvirtd that serves libvirt's built-in test hypervisor (one running domain, named
 * "test"). What is measured is the way to the daemon, so no QEMU is needed behind it.
 */
export class Host {
  constructor(scratch, name) {
    this.home = ownedFolder(join(scratch, name));
    this.socket = join(this.home, 'libvirt', 'libvirt-sock');
    this.uri = `test+unix:///default?socket=${this.socket}`;
    this.env = {
      PATH: `${process.env.PATH}:/usr/sbin`,
      LC_ALL: 'C',
      HOME: this.home,
      XDG_RUNTIME_DIR: this.home,
      XDG_CONFIG_HOME: join(this.home, 'config'),
      XDG_CACHE_HOME: join(this.home, 'cache'),
      XDG_DATA_HOME: join(this.home, 'data'),
    };
  }

  async start() {
    this.child = spawn('libvirtd', [], { env: this.env, stdio: 'ignore', ...identity });
    this.ended = new Promise((resolve) => this.child.once('exit', resolve).once('error', resolve));
    for (let attempt = 0; attempt < 100; attempt += 1) {
      if (existsSync(this.socket) && this.answers()) return this;
      await delay(100);
    }
    await this.kill();
    throw new Error('libvirtd did not answer within 10 s; run it by hand as this user to see why');
  }

  answers() {
    const options = { env: this.env, timeout: 2000, killSignal: 'SIGKILL', ...identity };
    return spawnSync('virsh', ['-q', '-c', this.uri, 'list', '--name'], options).status === 0;
  }

  get pid() {
    return this.child.pid;
  }

  freeze() {
    this.child.kill('SIGSTOP');
  }

  thaw() {
    this.child.kill('SIGCONT');
  }

  async kill() {
    this.child?.kill('SIGKILL');
    await this.ended;
  }
}
