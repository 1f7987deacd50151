/** What a libvirt domain XML says of a VM, as far as recovery needs it. */
import { XMLParser } from 'fast-xml-parser';
import type { PoolId } from '../../domain/ids';
import type { VmDisk, VmShape } from '../../domain/records';

/** Which declared pool a path lies in; undefined when none. */
export type PoolOf = (path: string) => PoolId | undefined;

type Node = Readonly<Record<string, unknown>>;

const many = new Set(['disk', 'interface', 'serial', 'console']);
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => many.has(name),
});

/** KiB per unit, as libvirt spells them: `KB` is a thousand bytes, `K` and `KiB` are 1,024. */
const kibPerUnit: Readonly<Record<string, number>> = {
  b: 1 / 1024,
  bytes: 1 / 1024,
  kb: 1000 / 1024,
  k: 1,
  kib: 1,
  mb: 1e6 / 1024,
  m: 1024,
  mib: 1024,
  gb: 1e9 / 1024,
  g: 1024 ** 2,
  gib: 1024 ** 2,
  tb: 1e12 / 1024,
  t: 1024 ** 3,
  tib: 1024 ** 3,
};

/** Throws when the text is no domain XML. */
export function shapeOf(xml: string, poolOf: PoolOf): VmShape {
  const domain = child(parser.parse(xml) as Node, 'domain');
  if (domain === undefined) throw new SyntaxError('no <domain> element');
  const devices = child(domain, 'devices') ?? {};
  return {
    memoryMiB: memoryMiB(domain['memory']),
    vcpus: Number(textOf(domain['vcpu']) ?? '1'),
    disks: children(devices, 'disk').flatMap((d) => disk(d, poolOf)),
    networks: children(devices, 'interface').flatMap((i) => networkOf(child(i, 'source'))),
    consolePath: [...children(devices, 'serial'), ...children(devices, 'console')]
      .filter((c) => c['@type'] === 'file')
      .map((c) => text(child(c, 'source')?.['@path']))
      .find((p) => p !== undefined),
  };
}

function memoryMiB(memory: unknown): number {
  const amount = Number(textOf(memory));
  const unit = (isNode(memory) ? text(memory['@unit']) : undefined) ?? 'KiB';
  const kib = kibPerUnit[unit.toLowerCase()];
  if (!Number.isFinite(amount) || kib === undefined)
    throw new SyntaxError(`memory of "${unit}" not understood`);
  return Math.ceil((amount * kib) / 1024);
}

/** Empty drives and media that may be absent are left out: they keep no VM from starting. */
function disk(node: Node, poolOf: PoolOf): VmDisk[] {
  const source = child(node, 'source');
  const path = source === undefined ? undefined : pathOf(text(node['@type']) ?? 'file', source);
  if (source === undefined || path === undefined) return [];
  const removable = node['@device'] === 'cdrom' || node['@device'] === 'floppy';
  if (removable && text(source['@startupPolicy']) === 'optional') return [];
  return [
    {
      device: text(child(node, 'target')?.['@dev']) ?? 'unknown',
      path,
      format: text(child(node, 'driver')?.['@type']) ?? 'raw',
      poolId: poolOf(path),
      shareable: 'shareable' in node,
      ...(('readonly' in node || node['@device'] === 'cdrom') && { readonly: true as const }),
    },
  ];
}

function pathOf(type: string, source: Node): string | undefined {
  switch (type) {
    case 'network':
      return `${text(source['@protocol']) ?? 'network'}:${text(source['@name']) ?? ''}`;
    case 'volume':
      return `${text(source['@pool']) ?? ''}/${text(source['@volume']) ?? ''}`;
    default:
      return text(source['@file']) ?? text(source['@dev']) ?? text(source['@dir']);
  }
}

function networkOf(source: Node | undefined): string[] {
  const name = text(source?.['@network']) ?? text(source?.['@bridge']) ?? text(source?.['@dev']);
  return name === undefined ? [] : [name];
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
const textOf = (value: unknown): string | undefined => (isNode(value) ? text(value['#text']) : text(value));

function child(node: Node, name: string): Node | undefined {
  const found = node[name];
  if (isNode(found) && !Array.isArray(found)) return found;
  return undefined;
}

function children(node: Node, name: string): Node[] {
  const found = node[name];
  return Array.isArray(found) ? found.filter(isNode) : [];
}
