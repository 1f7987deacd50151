/** Where in the file a problem is, and how it reads. */
import { isMap, isPair, isSeq, type Document, type LineCounter, type Node } from 'yaml';
import { z } from 'zod';
import { vmedicSchema } from './schema';

export type Path = readonly (string | number)[];

export interface ConfigProblem {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;
  /** For instance `clusters[0].hosts[1].id`; empty for the whole file. */
  readonly where: string;
  /** What is wrong and the way out. */
  readonly sentence: string;
}

export const problemText = (p: ConfigProblem): string =>
  `${p.file}:${p.line}:${p.column}: ${p.severity}: ${p.where === '' ? '' : `${p.where}: `}${p.sentence}`;

export function pathText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

/** Line and column of the node at `path`; of its key with `key`; of the nearest thing that is there when it is not. */
export class Places {
  constructor(
    private readonly file: string,
    private readonly document: Document,
    private readonly counter: LineCounter,
  ) {}

  problem(severity: ConfigProblem['severity'], path: Path, sentence: string): ConfigProblem {
    const { line, col } = this.counter.linePos(this.offset(path));
    return {
      severity,
      file: this.file,
      line: Math.max(line, 1),
      column: Math.max(col, 1),
      where: pathText(path),
      sentence,
    };
  }

  private offset(path: Path): number {
    let node = this.document.contents;
    let at = node?.range?.[0] ?? 0;
    for (const part of path) {
      if (isMap(node)) {
        const pair = node.items.find((item) => isPair(item) && String(item.key) === String(part));
        if (pair === undefined) return at;
        at = (pair.key as Node | null)?.range?.[0] ?? at;
        node = pair.value as Node | null;
      } else if (isSeq(node) && typeof part === 'number') {
        node = node.items[part] as Node | null;
        at = node?.range?.[0] ?? at;
      } else return at;
    }
    return at;
  }
}

/** Every zod issue as one problem; an issue over several unknown keys becomes one for each. */
export function problemsOfIssues(error: z.ZodError, places: Places, value: unknown): ConfigProblem[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
    if (issue.code !== 'unrecognized_keys')
      return [places.problem('error', path, sentenceOf(issue, path, value))];
    return issue.keys.map((key) =>
      places.problem(
        'error',
        [...path, key],
        `there is no such key here${wayOut(key, knownKeys(path, value))}`,
      ),
    );
  });
}

function sentenceOf(issue: z.core.$ZodIssue, path: Path, value: unknown): string {
  const found = valueAt(value, path);
  if (found === undefined && issue.code !== 'custom') return `is missing${whatIsNeeded(issue)}`;
  switch (issue.code) {
    case 'invalid_type':
      return isOwnWording(issue.message)
        ? issue.message
        : `must be ${nameOf(issue.expected)}, not ${shown(found)}`;
    case 'invalid_value':
      return isOwnWording(issue.message)
        ? issue.message
        : `is ${shown(found)}, which is none of ${listed(issue.values.map(String))}${guess(found, issue.values.map(String))}`;
    case 'invalid_union':
      if (!('options' in issue) || !Array.isArray(issue.options)) return issue.message;
      return `is ${shown(found)}, which is none of ${listed(issue.options.map(String))}${guess(found, issue.options.map(String))}`;
    case 'too_small':
      return isOwnWording(issue.message)
        ? issue.message
        : `is ${shown(found)}, below the least that makes sense: ${issue.minimum}`;
    case 'too_big':
      return `is ${shown(found)}, above the most that makes sense: ${issue.maximum}`;
    default:
      return issue.message;
  }
}

function whatIsNeeded(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type' && !isOwnWording(issue.message))
    return `: ${nameOf(issue.expected)} is needed`;
  if (issue.code === 'invalid_value') return `: one of ${listed(issue.values.map(String))}`;
  if (issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options))
    return `: one of ${listed(issue.options.map(String))}`;
  return isOwnWording(issue.message) ? `: ${issue.message}` : '';
}

/** zod's own English starts so; ours does not. */
const isOwnWording = (message: string): boolean => !/^(Invalid|Too|Unrecognized)\b/.test(message);

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a group of keys',
  record: 'a group of keys',
};
const nameOf = (type: string): string => typeNames[type] ?? type;

function shown(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a group of keys';
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

const listed = (words: readonly string[]): string => words.join(', ');

const guess = (found: unknown, known: readonly string[]): string => {
  const best = typeof found === 'string' ? closest(found, known) : undefined;
  return best === undefined ? '' : `; did you mean ${best}?`;
};

/** The way out of an unknown name: the closest known one, else all of them. */
export function wayOut(found: string, known: readonly string[]): string {
  const best = closest(found, known);
  if (best !== undefined) return `; did you mean ${best}?`;
  return known.length === 0 ? '' : `; known: ${listed(known)}`;
}

/** Undefined when nothing is near enough to be meant: a wrong guess costs more than none. */
export function closest(found: string, known: readonly string[]): string | undefined {
  const near = known
    .map((word) => ({ word, distance: editDistance(found.toLowerCase(), word.toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.max(1, Math.floor(found.length / 3)))
    .sort((a, b) => a.distance - b.distance)[0];
  return (
    near?.word ?? known.find((word) => word.length > 3 && found.toLowerCase().startsWith(word.toLowerCase()))
  );
}

/** Insertions, deletions, replacements and swapped neighbours, each one step. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : replaced;
      row.push(Math.min(at(i - 1, j) + 1, (row[j - 1] ?? 0) + 1, replaced, swapped));
    }
  }
  return at(a.length, b.length);
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, part) =>
      typeof at === 'object' && at !== null ? (at as Record<string | number, unknown>)[part] : undefined,
    value,
  );
}

/** The keys that the schema knows at `path`; the value tells which branch of a union is meant. */
function knownKeys(path: Path, value: unknown): string[] {
  let schema: unknown = vmedicSchema;
  for (let depth = 0; ; depth++) {
    while (schema instanceof z.ZodOptional) schema = schema.unwrap();
    if (schema instanceof z.ZodDiscriminatedUnion)
      schema = branchFor(schema, valueAt(value, path.slice(0, depth)));
    if (depth === path.length) return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
    const part = path[depth] as string | number;
    if (schema instanceof z.ZodObject) schema = (schema.shape as Record<string, unknown>)[part];
    else if (schema instanceof z.ZodArray) schema = schema.element;
    else if (schema instanceof z.ZodRecord) schema = schema.valueType;
    else return [];
  }
}

function branchFor(union: z.ZodDiscriminatedUnion, value: unknown): unknown {
  const key = union.def.discriminator;
  const chosen = (value as Record<string, unknown> | undefined)?.[key];
  return union.options.find((option) => {
    const literal =
      option instanceof z.ZodObject ? (option.shape as Record<string, unknown>)[key] : undefined;
    return literal instanceof z.ZodLiteral && literal.values.has(chosen as never);
  });
}
