import { lstatSync, mkdirSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * A lab's folder has to stay below this, in bytes: a Unix socket's path has 108 at most, and QEMU's monitor socket lies 58 deeper
 * (`/hv-a/conf/libvirt/qemu/lib/domain-999-vm-100/monitor.sock`). What libvirt says beyond it names no cause, or nothing at all.
 */
export const LAB_FOLDER_LENGTH_LIMIT = 50;

export interface Whoami {
  readonly uid: number;
  readonly username: string;
  readonly home: string;
}

/**
 * `$VMEDIC_HOME/lab`; VMEDIC_HOME is by default /var/lib/vmedic for the user vmedic, else `vmedic` in the user's state folder. Where
 * that is too long for a socket's path, a folder below /tmp that nobody else can enter.
 */
export function defaultLabFolder(env: NodeJS.ProcessEnv = process.env, who: Whoami = whoami()): string {
  const folder = join(stateHome(env, who), 'lab');
  return fits(folder) ? folder : join(`/tmp/vmedic-${who.uid}`, 'lab');
}

/** @throws a RangeError that says how to choose another one. */
export function checkLabFolder(folder: string): void {
  if (!isAbsolute(folder)) throw new RangeError(`the lab's folder must be an absolute path, not "${folder}"`);
  if (!fits(folder))
    throw new RangeError(
      `the lab's folder ${folder} has ${Buffer.byteLength(folder)} characters, and sockets below it need it shorter than ` +
        `${LAB_FOLDER_LENGTH_LIMIT}: choose a shorter one, for instance by VMEDIC_HOME=/tmp/vmedic-${whoami().uid}`,
    );
  if (!/^[A-Za-z0-9/._-]+$/.test(folder))
    throw new RangeError(
      `the lab's folder ${folder} holds a character that a libvirt URI or a shell would take for its own: ` +
        'choose one of letters, digits, dots, dashes and underscores',
    );
}

/** Makes the folders on the way. @throws when the one in /tmp is somebody else's: they could put files under ours. */
export function makeLabFolder(folder: string): void {
  const own = `/tmp/vmedic-${whoami().uid}`;
  if (folder.startsWith(`${own}/`)) {
    mkdirSync(own, { recursive: true, mode: 0o700 });
    const seen = lstatSync(own);
    if (!seen.isDirectory() || seen.uid !== whoami().uid)
      throw new Error(`${own} belongs to somebody else: set VMEDIC_HOME to a short path of your own`);
  }
  mkdirSync(folder, { recursive: true, mode: 0o755 });
}

function stateHome(env: NodeJS.ProcessEnv, who: Whoami): string {
  if (env['VMEDIC_HOME']) return env['VMEDIC_HOME'];
  if (who.username === 'vmedic') return '/var/lib/vmedic';
  return join(env['XDG_STATE_HOME'] || join(who.home, '.local', 'state'), 'vmedic');
}

function fits(folder: string): boolean {
  return Buffer.byteLength(folder) < LAB_FOLDER_LENGTH_LIMIT;
}

function whoami(): Whoami {
  const { uid, username } = userInfo();
  return { uid, username, home: homedir() };
}
