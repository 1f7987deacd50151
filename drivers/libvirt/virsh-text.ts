/** What virsh prints, read. It gives no error codes, so texts are all there is; each rule names what it was seen for (libvirt 9.0). */
import { vmId, type VmId } from '../../domain/ids';
import type { VmState } from '../../domain/observations';

/**
 * The one text that means "somebody has this disk open" (QEMU's image lock). "Failed to lock byte 100" is another matter: a file system
 * without locks.
 */
const lockHeld = /Failed to get (shared )?"[^"]+" lock/;
const lockedImage = /Is another process using the image \[([^\]]+)\]/;

export function lockHeldIn(errors: string): { readonly path: string | undefined } | undefined {
  return lockHeld.test(errors) ? { path: lockedImage.exec(errors)?.[1] } : undefined;
}

/** The connection broke after the call may have been sent. */
const brokenMidCall =
  /Disconnected from .+ due to|End of file while reading data|client socket is closed|received hangup event on socket|connection closed due to keepalive timeout|Cannot write data: Broken pipe/i;
const notConnected = /failed to connect to the hypervisor/i;
/**
 * Nobody's kernel answered. Everything else that keeps a connection from opening is an answer of some kind. A local socket that is not
 * there is nobody too: its folder is emptied when the host goes down, while a daemon that merely died leaves it behind.
 */
const nobodyAnswered =
  /No route to host|timed out|Network is unreachable|Could not resolve|Name or service not known|Failed to connect socket to '.*': No such file/i;

export type ConnectionTrouble = 'broken-mid-call' | 'refused' | 'nobody-answered';

export function connectionTrouble(errors: string): ConnectionTrouble | undefined {
  const at = errors.search(notConnected);
  // What follows "failed to connect" explains that failure, whatever its words; what stands before it happened on a live connection.
  if (brokenMidCall.test(at < 0 ? errors : errors.slice(0, at))) return 'broken-mid-call';
  if (at < 0) return undefined;
  const why = errors.slice(at);
  // An ssh banner that does not come is an accepted connection: the kernel lives, whatever has become of sshd.
  return nobodyAnswered.test(why) && !why.includes('banner exchange') ? 'nobody-answered' : 'refused';
}

/** Somebody answered and wanted another key, certificate or password: trying again changes nothing. */
export const isRefusedLogin = (text: string): boolean =>
  /Permission denied|Host key verification failed|authentication (failed|unavailable|cancelled)|certificate|verification .*failed/i.test(
    text,
  );

/** One sentence from virsh's error lines: what went wrong, without the frame around it. */
export function errorSentence(errors: string): string {
  const lines = errors
    .split('\n')
    .map((l) => l.replace(/^error: /, '').trim())
    .filter(
      (l) => l !== '' && !/^Failed to (start|create|define|undefine) domain|^failed to get domain/i.test(l),
    );
  return (lines.length > 0 ? lines.join('; ') : errors.trim()).slice(0, 600) || 'no reason was given';
}

/** libvirt does one thing at a time with a VM; what waited too long for its turn is refused in these words. */
export const anotherJobHoldsIt = /cannot acquire state change lock/i;

/** virsh says so as well after a lost connection: never a proof of absence. */
export const noSuchDomain = /failed to get domain/i;
/** Refused because it is as wanted already, or became so by somebody else's hand. */
export const alreadyActive = /domain .*is already active|Domain is already active/i;

/** `domstats --state --raw`: name to state and reason number. */
export function parseDomstats(text: string): Map<string, { state: number; reason: number }> {
  const found = new Map<string, { state: number; reason: number }>();
  let current: { state: number; reason: number } | undefined;
  for (const line of text.split('\n')) {
    const name = /^Domain: '(.*)'$/.exec(line)?.[1];
    if (name !== undefined) {
      current = { state: 0, reason: 0 };
      found.set(name, current);
    }
    const fact = /^ {2}state\.(state|reason)=(\d+)$/.exec(line);
    if (fact !== null && current !== undefined) current[fact[1] as 'state' | 'reason'] = Number(fact[2]);
  }
  return found;
}

/** `list --uuid --name`. */
export function parseUuidNames(text: string): { id: VmId; name: string }[] {
  return text.split('\n').flatMap((line) => {
    const found = /^([0-9a-f-]{36})\s+(.*\S)\s*$/.exec(line);
    return found === null ? [] : [{ id: vmId(found[1] as string), name: found[2] as string }];
  });
}

export const parseUuids = (text: string): Set<VmId> =>
  new Set([...text.matchAll(/^([0-9a-f-]{36})\s*$/gm)].map((m) => vmId(m[1] as string)));

const reasons: Readonly<Record<number, readonly string[]>> = {
  1: ['unknown', 'booted', 'migrated', 'restored', 'from snapshot', 'unpaused', 'migration canceled', 'save canceled', 'event wakeup', 'crashed', 'post-copy', 'post-copy failed'], // prettier-ignore
  3: ['unknown', 'user', 'migrating', 'saving', 'dumping', 'I/O error', 'watchdog', 'from snapshot', 'shutting down', 'creating snapshot', 'crashed', 'starting up', 'post-copy', 'post-copy failed', 'api error'], // prettier-ignore
  4: ['unknown', 'user'],
  5: [
    'unknown',
    'shutdown',
    'destroyed',
    'crashed',
    'migrated',
    'saved',
    'failed',
    'from snapshot',
    'daemon',
  ],
  6: ['unknown', 'panicked'],
};

/**
 * libvirt's numbers as our words. `crashed` in libvirt (6) means preserved: the QEMU process is there and holds its disks, so it is
 * `paused` here, not at rest. A VM whose process died on it is `shut off (crashed)`.
 */
export function stateOf(numbers: { state: number; reason: number }): { state: VmState; reason: string } {
  const word = reasons[numbers.state]?.[numbers.reason] ?? String(numbers.reason);
  switch (numbers.state) {
    case 1:
    case 2:
      return { state: 'running', reason: word };
    case 3:
      return {
        state: ['migrating', 'post-copy', 'post-copy failed', 'starting up', 'shutting down'].includes(word)
          ? 'in-transition'
          : 'paused',
        reason: word,
      };
    case 4:
      return { state: 'in-transition', reason: 'in shutdown' };
    case 5:
      return { state: word === 'crashed' ? 'crashed' : 'shut-off', reason: word };
    case 6:
      return { state: 'paused', reason: `crashed and preserved: ${word}` };
    case 7:
      return { state: 'paused', reason: 'suspended by its guest' };
    default:
      return { state: 'unknown', reason: `state ${numbers.state}` };
  }
}
