/** What a domain XML says of its disks right now: where each lies, and where it is being copied to. */
import { XMLParser } from 'fast-xml-parser';

export interface DiskState {
  readonly device: string;
  readonly kind: 'file' | 'block' | 'other';
  readonly path: string;
  readonly format: string;
  readonly shareable: boolean;
  readonly removable: boolean;
  /** Another image lies beneath it. */
  readonly hasBacking: boolean;
  readonly mirror: { readonly path: string; readonly ready: boolean } | undefined;
}

type Node = Readonly<Record<string, unknown>>;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => name === 'disk',
});

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const node = (value: unknown): Node => (isNode(value) ? value : {});
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const pathIn = (source: Node): string => text(source['@file']) || text(source['@dev']);

export function disksOf(xml: string): DiskState[] {
  const domain = node((parser.parse(xml) as Node)['domain']);
  const disks = node(domain['devices'])['disk'];
  return (Array.isArray(disks) ? (disks as unknown[]) : []).filter(isNode).map((disk): DiskState => {
    const type = text(disk['@type']);
    const mirror = disk['mirror'];
    const mirrorPath = isNode(mirror) ? text(mirror['@file']) || pathIn(node(mirror['source'])) : '';
    return {
      device: text(node(disk['target'])['@dev']),
      kind: type === 'file' || type === 'block' ? type : 'other',
      path: pathIn(node(disk['source'])),
      format: text(node(disk['driver'])['@type']) || 'raw',
      shareable: 'shareable' in disk,
      removable: ['cdrom', 'floppy'].includes(text(disk['@device'])),
      hasBacking: isNode(disk['backingStore']) && 'source' in disk['backingStore'],
      mirror: isNode(mirror) ? { path: mirrorPath, ready: mirror['@ready'] === 'yes' } : undefined,
    };
  });
}

const escaped = (path: string): string =>
  path.replace(
    /[&<>'"]/g,
    (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&apos;', '"': '&quot;' })[sign] ?? sign,
  );

/** Where a disk lies, as far as a definition says so. */
interface At {
  readonly path: string;
  readonly format: string;
  readonly volume: unknown;
}

/** The definition with one disk at another place, file or logical volume; undefined when the disk is not found there exactly once. */
export function withDiskAt(xml: string, device: string, from: At, to: At): string | undefined {
  let changed = 0;
  const [type, attribute] = to.volume === undefined ? ['file', 'file'] : ['block', 'dev'];
  const next = xml.replace(/<disk\b[\s\S]*?<\/disk>/g, (disk) => {
    if (!new RegExp(`<target\\s[^>]*\\bdev=['"]${device}['"]`).test(disk)) return disk;
    const moved = disk.replace(
      /(<source\s(?:[^>]*\s)?)(?:file|dev)=(['"])(.*?)\2/,
      (whole, head: string, quote: string, path: string) => {
        if (path !== escaped(from.path) && path !== from.path) return whole;
        changed += 1;
        return `${head}${attribute}=${quote}${escaped(to.path)}${quote}`;
      },
    );
    const typed = moved.replace(/^(<disk\b[^>]*\btype=)(['"])(?:file|block)\2/, `$1$2${type}$2`);
    return from.format === to.format ? typed : withFormat(typed, to.format);
  });
  if (changed !== 1) return undefined;
  const disk = disksOf(next).find((d) => d.device === device);
  // A format that is not written down as it is would let the guest choose how its host reads the disk.
  return disk?.path === to.path && disk.format === to.format && disk.kind === type ? next : undefined;
}

const withFormat = (disk: string, format: string): string =>
  disk.replace(/(<driver\b[^>]*\btype=)(['"]).*?\2/, `$1$2${format}$2`);
