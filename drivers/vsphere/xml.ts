/**
 * vim25 on the wire: text to tree and back. The order of elements is the caller's concern: every type is a sequence, base class first.
 */
import { XMLParser } from 'fast-xml-parser';

/** Names one object of one vCenter. Only as long as the object lives: a VM registered anew has another. */
export interface MoRef {
  readonly type: string;
  readonly value: string;
}

/** An element: attributes by `@name`, its text by `#text`, children by name, one or many. */
export type XmlNode = Readonly<Record<string, unknown>>;

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
};
const escaped = (text: string): string => text.replace(/[&<>"\r]/g, (c) => escapes[c] ?? c);

export type Part = string | undefined | readonly Part[];

const joined = (part: Part): string =>
  part === undefined ? '' : typeof part === 'string' ? part : part.map(joined).join('');

/** An element of other elements. `xsiType` is needed wherever the schema declares a base class. */
export const group = (name: string, parts: Part, xsiType?: string): string =>
  `<${name}${xsiType === undefined ? '' : ` xsi:type="${xsiType}"`}>${joined(parts)}</${name}>`;

/** An element of text; nothing at all for undefined. */
export const leaf = (name: string, value: string | number | boolean | undefined): string | undefined =>
  value === undefined ? undefined : `<${name}>${escaped(String(value))}</${name}>`;

export const reference = (name: string, ref: MoRef | undefined): string | undefined =>
  ref === undefined ? undefined : `<${name} type="${escaped(ref.type)}">${escaped(ref.value)}</${name}>`;

export function envelope(
  method: string,
  target: MoRef,
  parts: Part,
  operationId: string | undefined,
): string {
  const header =
    operationId === undefined
      ? ''
      : `<Header><operationID xmlns="urn:vim25">${escaped(operationId)}</operationID></Header>`;
  return (
    '<?xml version="1.0" encoding="UTF-8"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" ' +
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">' +
    `${header}<Body><${method} xmlns="urn:vim25">${reference('_this', target) ?? ''}${joined(parts)}</${method}></Body></Envelope>`
  );
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  textNodeName: '#text',
  alwaysCreateTextNode: true,
  // A name such as 0012 or 1E5 is no number, and blanks in it count.
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  htmlEntities: true,
  // Not `removeNSPrefix`: it makes one attribute of `type` and `xsi:type`, and a reference loses its type.
  transformTagName: (name) => name.slice(name.indexOf(':') + 1),
  // The prefix is the server's choice, and changes within one reply. Nothing else in vim25 has a prefixed `type`.
  transformAttributeName: (name) => (name.endsWith(':type') ? '@xsi:type' : name),
});

const isNode = (value: unknown): value is XmlNode =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws when it is no XML, or carries a document type, which no vCenter sends. */
export function parseXml(text: string): XmlNode {
  if (/<!DOCTYPE/i.test(text)) throw new SyntaxError('the reply has a document type');
  const tree: unknown = parser.parse(text);
  if (!isNode(tree)) throw new SyntaxError('the reply is no XML');
  return tree;
}

/** All children of that name. A list of one arrives as the thing itself, and an empty one as nothing. */
export function children(node: XmlNode | undefined, name: string): XmlNode[] {
  const value = node?.[name];
  return (Array.isArray(value) ? value : [value]).filter(isNode);
}

export const child = (node: XmlNode | undefined, ...path: readonly string[]): XmlNode | undefined =>
  path.reduce<XmlNode | undefined>((at, name) => children(at, name)[0], node);

export function textOf(node: XmlNode | undefined): string | undefined {
  const text = node?.['#text'];
  return typeof text === 'string' ? text : undefined;
}

export const textAt = (node: XmlNode | undefined, ...path: readonly string[]): string | undefined =>
  textOf(child(node, ...path));

export function numberAt(node: XmlNode | undefined, ...path: readonly string[]): number | undefined {
  const text = textAt(node, ...path);
  return text === undefined || text === '' ? undefined : Number(text);
}

export function booleanAt(node: XmlNode | undefined, ...path: readonly string[]): boolean | undefined {
  const text = textAt(node, ...path);
  return text === undefined ? undefined : text === 'true' || text === '1';
}

export function xsiTypeOf(node: XmlNode | undefined): string | undefined {
  const type = node?.['@xsi:type'];
  return typeof type === 'string' ? type.slice(type.indexOf(':') + 1) : undefined;
}

export function refOf(node: XmlNode | undefined): MoRef | undefined {
  const type = node?.['@type'];
  return typeof type === 'string' ? { type, value: textOf(node) ?? '' } : undefined;
}

export const refAt = (node: XmlNode | undefined, ...path: readonly string[]): MoRef | undefined =>
  refOf(child(node, ...path));

export const refsIn = (node: XmlNode | undefined): MoRef[] =>
  children(node, 'ManagedObjectReference').flatMap((n) => refOf(n) ?? []);

/** The first child element, whatever it is called. */
export function firstChild(node: XmlNode | undefined): { name: string; node: XmlNode } | undefined {
  for (const name of Object.keys(node ?? {})) {
    const found = name.startsWith('@') || name === '#text' ? undefined : children(node, name)[0];
    if (found !== undefined) return { name, node: found };
  }
  return undefined;
}

/** Names and paths arrive with these three escaped. */
export const unescaped = (name: string): string =>
  name.replace(/%2f/gi, '/').replace(/%5c/gi, '\\').replace(/%25/g, '%');
