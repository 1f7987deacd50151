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

/** The definition with one disk at another file; undefined when the disk is not found there exactly once. */
export function withDiskAt(xml: string, device: string, from: string, to: string): string | undefined {
  let changed = 0;
  const next = xml.replace(/<disk\b[\s\S]*?<\/disk>/g, (disk) => {
    if (!new RegExp(`<target\\s+dev=['"]${device}['"]`).test(disk)) return disk;
    return disk.replace(
      /(<source\s[^>]*\bfile=)(['"])(.*?)\2/,
      (whole, head: string, quote: string, path: string) => {
        if (path !== escaped(from) && path !== from) return whole;
        changed += 1;
        return `${head}${quote}${escaped(to)}${quote}`;
      },
    );
  });
  return changed === 1 ? next : undefined;
}
