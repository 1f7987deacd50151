/** Takes one line about work that is under way. The caller decides where it goes; never stdout, which belongs to results. */
export type Progress = (line: string) => void;

export const silent: Progress = () => undefined;

/** Says every ten seconds that `what` still goes on, so that long work never looks like a hang. */
export async function withProgress<T>(progress: Progress, what: string, work: () => Promise<T>): Promise<T> {
  const startedAt = Date.now();
  const seconds = (): number => Math.round((Date.now() - startedAt) / 1000);
  progress(what);
  const timer = setInterval(() => progress(`${what.split(':')[0] ?? what}: ${seconds()} s`), 10_000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
