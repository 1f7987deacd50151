/** How properties are asked for, and what an answer says of one object. */

import {
  child,
  children,
  group,
  leaf,
  type MoRef,
  reference,
  refAt,
  textAt,
  type XmlNode,
  xsiTypeOf,
} from './xml';

export type Properties = ReadonlyMap<string, XmlNode>;
export interface ObjectProperties {
  readonly ref: MoRef;
  readonly properties: Properties;
}

export const propertySpec = (type: string, paths: readonly string[]): string =>
  group('propSet', [leaf('type', type), paths.map((path) => leaf('pathSet', path))]);

export const traversed = (from: MoRef, type: string, path: string): string =>
  group('objectSet', [
    reference('obj', from),
    leaf('skip', true),
    group(
      'selectSet',
      [leaf('name', path), leaf('type', type), leaf('path', path), leaf('skip', false)],
      'TraversalSpec',
    ),
  ]);

export function objectOf(object: XmlNode): {
  object: ObjectProperties;
  missing: { obj: MoRef; path: string; fault: string }[];
} {
  const ref = refAt(object, 'obj') ?? { type: '', value: '' };
  const properties = new Map<string, XmlNode>();
  for (const property of children(object, 'propSet')) {
    const value = child(property, 'val');
    if (value !== undefined) properties.set(textAt(property, 'name') ?? '', value);
  }
  const missing = children(object, 'missingSet').map((m) => ({
    obj: ref,
    path: textAt(m, 'path') ?? '',
    fault: xsiTypeOf(child(m, 'fault', 'fault')) ?? 'untyped',
  }));
  return { object: { ref, properties }, missing };
}
