/** NFSv4 clients of a Linux server, with the state that each holds (nfsd's `clients` folder, since Linux 5.3). */
import { type FileIdentity, identityOf, type LockedRange, lockOf } from './lock-table';

export interface NfsClient {
  readonly id: string;
  /** Without the port. */
  readonly address: string;
  readonly name: string;
  /** `courtesy` and `expirable`: its lease is over, and whoever wants what it holds gets it. */
  readonly status: string;
  readonly locks: readonly { readonly file: FileIdentity; readonly lockId: string }[];
}

export interface ClientTable {
  readonly files: readonly (FileIdentity | undefined)[];
  readonly clients: readonly NfsClient[];
  /** What is locked at all, by whomever: a client's lock state outlives its locks, and not everybody who locks is an NFSv4 client. */
  readonly locked: readonly LockedRange[];
  readonly leaseSeconds: number;
}

export const clientsScript = `
for path in "$@"; do stat -c 'file %d %i' -- "$path" 2>/dev/null || echo 'file - -'; done
[ -d /proc/fs/nfsd/clients ] || { echo 'nfsd shows no clients: it is not running, or its kernel is older than 5.3' >&2; exit 3; }
echo "lease $(cat /proc/fs/nfsd/nfsv4leasetime)"
for client in /proc/fs/nfsd/clients/*/; do
  id=\${client%/}
  [ -d "$client" ] || continue
  echo "client \${id##*/}"
  # A client that went meanwhile holds nothing; one that is there and cannot be read may hold everything.
  sed 's/^/info /' "$client/info" && sed 's/^/state /' "$client/states" || [ ! -d "$client" ] || exit 4
done
sed 's/^/lock /' /proc/locks || exit 4
echo complete
`;

/**
 * Expires exactly the clients whose ids are given and whose address is still the one given first: ids are used again by the kernel. What a
 * client held is free when its folder is gone.
 */
export const expireScript = `
address=$1
shift
for id in "$@"; do
  client=/proc/fs/nfsd/clients/$id
  grep -qF -e "address: \\"$address:" -e "address: \\"[$address]:" "$client/info" 2>/dev/null || continue
  echo expire >"$client/ctl" || exit 4
done
`;

/** @throws when the output was cut short. */
export function clientsFrom(printed: string): ClientTable {
  const lines = printed.trimEnd().split('\n');
  if (lines.at(-1) !== 'complete') throw new Error('the list of NFSv4 clients was cut short');
  const files: (FileIdentity | undefined)[] = [];
  const locked: LockedRange[] = [];
  const clients: { -readonly [K in keyof NfsClient]: NfsClient[K] }[] = [];
  let leaseSeconds = 90;
  for (const line of lines) {
    const at = line.indexOf(' ');
    const [kind, rest] = [line.slice(0, at), line.slice(at + 1)];
    const last = clients.at(-1);
    if (kind === 'file') {
      const [device, inode] = rest.split(' ');
      files.push(identityOf(device ?? '-', inode ?? '-'));
    } else if (kind === 'lease') leaseSeconds = Number(rest);
    else if (kind === 'lock') locked.push(...lockOf(rest.split(/\s+/)));
    else if (kind === 'client') clients.push({ id: rest, address: '', name: '', status: '', locks: [] });
    else if (kind === 'info' && last !== undefined) noteInfo(last, rest);
    else if (kind === 'state' && last !== undefined) last.locks = [...last.locks, ...lockIn(rest)];
  }
  return { files, clients, locked, leaseSeconds };
}

function noteInfo(client: { address: string; name: string; status: string }, line: string): void {
  const value = (key: string): string | undefined => {
    const found = new RegExp(`^${key}: "?([^"]*)"?$`).exec(line.trim());
    return found?.[1];
  };
  // "10.77.0.12:793", "[fd00::12]:793"
  client.address =
    value('address')
      ?.replace(/:\d+$/, '')
      .replace(/^\[|\]$/g, '') ?? client.address;
  client.name = value('name') ?? client.name;
  client.status = value('status') ?? client.status;
}

/** `- 0x0001...: { type: lock, superblock: "fe:10:12", ... }`; opens and delegations keep nobody from an image's locks. */
function lockIn(line: string): NfsClient['locks'] {
  const found = /^- (0x[0-9a-f]+): \{ type: lock,.*superblock: "([0-9a-f]+):([0-9a-f]+):(\d+)"/.exec(
    line.trim(),
  );
  if (found === null) return [];
  const [, lockId, major, minor, inode] = found as unknown as [string, string, string, string, string];
  const pad = (hex: string): string => hex.padStart(2, '0');
  return [{ lockId, file: { device: `${pad(major)}:${pad(minor)}`, inode } }];
}
