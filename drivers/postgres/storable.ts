/**
 * PostgreSQL's text and jsonb refuse NUL, and UTF-8 has no lone surrogates; consoles and devices send both. Each becomes U+FFFD: a bad
 * byte in an error text must never keep the record of a recovery from being written.
 */
export const storableText = (text: string): string =>
  text.replaceAll('\0', '\uFFFD').replace(/\p{Surrogate}/gu, '\uFFFD');

/** The same for every text within a value, as plain JSON: `undefined` is dropped, dates become text. */
export function storable(value: unknown): unknown {
  return inner(JSON.parse(JSON.stringify(value ?? null)) as unknown);
}

function inner(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value);
  if (Array.isArray(value)) return value.map(inner);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, v]) => [storableText(key), inner(v)]));
  return value;
}
