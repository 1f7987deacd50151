const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

export const durationPattern = /^(\d+)(ms|s|m|h)$/;

/** "30s" → 30 000 ms. The text has passed the schema; anything else is a defect of the caller. */
export function durationMs(text: string): number {
  const [, count, unit] = durationPattern.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw new RangeError(`"${text}" is no duration: a whole number and ms, s, m or h`);
  return Number(count) * unitMs[unit as keyof typeof unitMs];
}

/** 30 000 → "30s": the shortest exact form. */
export function durationText(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    if (ms >= unitMs[unit] && ms % unitMs[unit] === 0) return `${ms / unitMs[unit]}${unit}`;
  }
  return `${ms}ms`;
}
