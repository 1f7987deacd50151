/** Pages of lists: the cursor is the place of the last item, so that what is added meanwhile shifts nothing. */
import { z } from 'zod';
import { Problem } from './problems';

const pageSize = 100;

export const sizeOf = (limit: number | undefined): number => limit ?? pageSize;

export const cursorOf = (place: unknown): string => Buffer.from(JSON.stringify(place)).toString('base64url');

export function placeOf<T extends z.ZodType>(schema: T, cursor: string | undefined): z.output<T> | undefined {
  if (cursor === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch (cause) {
    // Broken JSON or another list's cursor: both are the caller's mistake.
    throw new Problem(400, 'INVALID_REQUEST', 'query cursor: is no cursor of this list', {
      errors: [{ in: 'query', at: 'cursor', sentence: 'is no cursor of this list' }],
      cause,
    });
  }
}

const textPlace = z.string().max(400);

/** One page of a list that is whole in memory, in the order of `key`. */
export function pageOf<T>(
  all: readonly T[],
  key: (item: T) => string,
  { limit, cursor }: { limit?: number | undefined; cursor?: string | undefined },
): { items: T[]; next?: string } {
  const after = placeOf(textPlace, cursor);
  const sorted = [...all].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const left = after === undefined ? sorted : sorted.filter((item) => key(item) > after);
  const items = left.slice(0, sizeOf(limit));
  const last = items.at(-1);
  return last === undefined || items.length === left.length
    ? { items }
    : { items, next: cursorOf(key(last)) };
}
