/** Who needs a file that no definition should name, as far as only hosts can tell: who has it open, names it by whatever link, or is built on it. */
import { posix } from 'node:path';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { onePath } from '../../domain/volume-move';
import { readDefinitions } from './definitions';
import { imagesBeside, withoutLinks } from './loose-scripts';
import { type MoveReach, shortMs } from './move-reach';

/** Reads the headers of all images of a host's pools: a thousand take half a minute. */
const imagesMs = 300_000;
const definitionsMs = 10_000;
/** Paths in one call: a command line has its limits. */
const pathsAtOnce = 500;

/** Every reason why it is needed, on all hosts that its pool is on. Throws when one of them cannot tell: then nobody knows. */
export async function usersOf(
  reach: MoveReach,
  host: HostId,
  path: string,
  signal: AbortSignal,
): Promise<string[]> {
  const pool = reach.options.poolOf(path);
  const hosts = new Set([host, ...(pool === undefined ? [] : reach.options.hostsOf(pool))]);
  const why: string[] = [];
  for (const one of hosts) {
    if (one !== host && (await isActiveOn(reach, one, path, signal)))
      why.push(`it is active on ${one}, where somebody may write to it at any moment`);
    why.push(
      ...(reach.options.hosts.some((h) => h.id === one)
        ? await usersOn(reach, one, path, signal)
        : [`${one} uses its pool as well, and cannot be asked whether it needs it: it is no libvirt host`]),
    );
  }
  return [...new Set(why)];
}

/** Of logical volumes alone: LVM on one host knows nothing of what is active on another. */
async function isActiveOn(
  reach: MoveReach,
  host: HostId,
  path: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { pools, poolOf, hosts } = reach.options;
  const isVolume = pools.some((p) => p.id === poolOf(path) && p.type === 'lvm');
  const names = isVolume ? reach.places.volumes.namesIn(path) : undefined;
  if (names === undefined || !hosts.some((h) => h.id === host)) return false;
  return (await reach.places.volumes.find(host, names, signal))?.active === true;
}

async function usersOn(reach: MoveReach, host: HostId, path: string, signal: AbortSignal): Promise<string[]> {
  const { poolOf, pools } = reach.options;
  const isVolume = pools.some((p) => p.id === poolOf(path) && p.type === 'lvm');
  const volume = isVolume ? reach.places.volumes.namesIn(path) : undefined;
  const place = { path, format: 'raw', volume, uuid: undefined };
  const why: string[] = [];
  if ((await reach.places.sight(host, place, signal)) === 'held') why.push(`somebody on ${host} has it open`);
  const all = await readDefinitions(reach.connection(host), undefined, definitionsMs, poolOf, signal);
  const named = all.flatMap((d) => d.shape.disks.map((disk) => ({ who: d.name, files: [disk.path] })));
  const over = (await imagesOf(reach, host, path, signal)).filter((i) => i.files.length > 0);
  const files = [...new Set([...named, ...over].flatMap((n) => n.files))];
  const [real, ...plain] = await withoutLinksOn(reach, host, [path, ...files], signal);
  const inWords = `"${posix.basename(path)}"`;
  const isIt = (file: string): boolean =>
    onePath(file) === onePath(path) ||
    plain[files.indexOf(file)] === real ||
    (file.startsWith('json:') && (file.includes(path) || file.includes(inWords)));
  for (const { who, files: its } of named) if (its.some(isIt)) why.push(`${who} on ${host} names it`);
  for (const { who, files: its } of over) if (its.some(isIt)) why.push(`${who} is built on it`);
  return why;
}

interface Naming {
  readonly who: string;
  readonly files: readonly string[];
}

async function imagesOf(
  reach: MoveReach,
  host: HostId,
  path: string,
  signal: AbortSignal,
): Promise<Naming[]> {
  const { options } = reach;
  const folders = options.pools.flatMap((p) =>
    ['dir', 'nfs'].includes(p.type) && p.path !== undefined && options.hostsOf(p.id).includes(host)
      ? [p.path]
      : [],
  );
  const { stdout } = await reach.script(host, imagesBeside, [path, ...folders], imagesMs, signal);
  const lines = stdout.trim().split('\n');
  if (lines.pop() !== 'end')
    throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: 'its images were not read to the end' });
  return lines.map((line) => ({ who: imageIn(line), files: filesIn(line) }));
}

async function withoutLinksOn(
  reach: MoveReach,
  host: HostId,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  const plain: string[] = [];
  for (let at = 0; at < paths.length; at += pathsAtOnce) {
    const some = paths.slice(at, at + pathsAtOnce);
    const { stdout } = await reach.script(host, withoutLinks, some, shortMs, signal);
    plain.push(...stdout.split('\n').slice(0, some.length));
  }
  return plain;
}

const imageIn = (said: string): string => (JSON.parse(said) as { filename: string }).filename;

const nameKeys: readonly string[] = ['filename', 'backing-filename', 'full-backing-filename', 'data-file'];

/** Every other file that QEMU names when it describes an image: what lies beneath it, and what holds its data. */
export function filesIn(said: string): string[] {
  const image = imageIn(said);
  const found = new Set<string>();
  JSON.parse(said, (key, value: unknown) => {
    if (nameKeys.includes(key) && typeof value === 'string') found.add(absolute(image, value));
    return value;
  });
  found.delete(posix.resolve(image));
  return [...found];
}

/** A name without a folder is meant beside the image. */
const absolute = (image: string, name: string): string =>
  name.startsWith('json:') ? name : posix.resolve(posix.dirname(image), name.replace(/^file:/, ''));
