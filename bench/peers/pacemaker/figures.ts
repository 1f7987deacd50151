/**
 * From what the agents wrote down to figures. Pure: the agents' own notes are the only source, never the cluster's word.
 *
 * INVARIANT: a VM is claimed from the moment its start begins, not from its end, and until it is down or its node is dead.
 * Two claims of one VM on two nodes that overlap are a VM that ran twice.
 */

export interface VmNote {
  readonly atMs: number;
  readonly what: 'begin' | 'up' | 'down';
  readonly vm: string;
}

export interface FenceNote {
  readonly atMs: number;
  readonly what: 'begin' | 'end';
  readonly node: string;
  readonly exitCode: number | undefined;
}

export interface Claim {
  readonly node: string;
  readonly fromMs: number;
  readonly untilMs: number;
  /** Infinite when the start was never finished. */
  readonly upMs: number;
}

export interface Spread {
  readonly firstMs: number;
  readonly medianMs: number;
  readonly lastMs: number;
}

const milliseconds = (seconds: string): number => Number(seconds) * 1000;

/** Notes are whole lines, appended in one write each; a last line without its end is not there yet. */
function wholeLines(text: string): string[][] {
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' '));
}

export function parseVmNotes(text: string): VmNote[] {
  return wholeLines(text).map(([at = '', what = '', vm = '']) => {
    if (what !== 'begin' && what !== 'up' && what !== 'down')
      throw new Error(`not a note of a VM: "${what}"`);
    return { atMs: milliseconds(at), what, vm };
  });
}

export function parseFenceNotes(text: string): FenceNote[] {
  return wholeLines(text).map(([at = '', what = '', node = '', exitCode = '']) => {
    if (what !== 'begin' && what !== 'end') throw new Error(`not a note of the power switch: "${what}"`);
    return { atMs: milliseconds(at), what, node, exitCode: exitCode === '' ? undefined : Number(exitCode) };
  });
}

/** Every claim per VM. `diedMs` holds the nodes whose power was cut: whatever ran there ended then. */
export function claimsOf(
  notes: ReadonlyMap<string, readonly VmNote[]>,
  diedMs: ReadonlyMap<string, number>,
): Map<string, Claim[]> {
  const claims = new Map<string, Claim[]>();
  for (const [node, nodeNotes] of notes) {
    const end = diedMs.get(node) ?? Infinity;
    const open = new Map<string, { fromMs: number; upMs: number }>();
    const close = (vm: string, untilMs: number): void => {
      const claim = open.get(vm);
      if (claim === undefined) return;
      open.delete(vm);
      claims.set(vm, [...(claims.get(vm) ?? []), { node, ...claim, untilMs: Math.min(untilMs, end) }]);
    };
    for (const note of nodeNotes) {
      const claim = open.get(note.vm);
      if (note.what === 'down') close(note.vm, note.atMs);
      else if (claim === undefined)
        open.set(note.vm, { fromMs: note.atMs, upMs: note.what === 'up' ? note.atMs : Infinity });
      else if (note.what === 'up') claim.upMs = note.atMs;
    }
    for (const vm of [...open.keys()]) close(vm, end);
  }
  return claims;
}

/** VMs that two nodes claimed at the same time. */
export function ranTwice(claims: ReadonlyMap<string, readonly Claim[]>): string[] {
  return [...claims]
    .filter(([, spans]) =>
      spans.some((a, index) =>
        spans.slice(index + 1).some((b) => a.node !== b.node && a.fromMs < b.untilMs && b.fromMs < a.untilMs),
      ),
    )
    .map(([vm]) => vm)
    .sort();
}

/** When each VM was up again on a node that is alive; VMs that are not are left out. */
export function upAgain(claims: ReadonlyMap<string, readonly Claim[]>, sinceMs: number): number[] {
  return [...claims.values()]
    .map(
      (spans) =>
        spans.find((claim) => claim.fromMs > sinceMs && claim.untilMs === Infinity)?.upMs ?? Infinity,
    )
    .filter((up) => up !== Infinity)
    .sort((a, b) => a - b);
}

/** Nearest rank. Undefined when nothing came up. */
export function spread(sortedMs: readonly number[], originMs: number): Spread | undefined {
  const at = (share: number): number | undefined =>
    sortedMs[Math.max(0, Math.ceil(share * sortedMs.length) - 1)];
  const [first, median, last] = [sortedMs[0], at(0.5), sortedMs.at(-1)];
  if (first === undefined || median === undefined || last === undefined) return undefined;
  const since = (ms: number): number => Math.round(ms - originMs);
  return { firstMs: since(first), medianMs: since(median), lastMs: since(last) };
}

/** The first fencing of `node` that succeeded after the failure. */
export function fencing(
  notes: readonly FenceNote[],
  node: string,
  failureMs: number,
): { readonly beginMs: number; readonly endMs: number } | undefined {
  const about = notes.filter((note) => note.node === node && note.atMs >= failureMs);
  const end = about.find((note) => note.what === 'end' && note.exitCode === 0);
  const begin = about.find((note) => note.what === 'begin');
  return begin && end && { beginMs: begin.atMs, endMs: end.atMs };
}

/** Nodes that were asked off although their power was never cut: the cluster mistook a living node, and the run is void. */
export function fencedAlive(notes: readonly FenceNote[], dead: string): string[] {
  return [...new Set(notes.filter((note) => note.node !== dead).map((note) => note.node))].sort();
}
