/** The code of a failed system call, for instance `ENOENT`; undefined for any other error. Told by its shape, not by its class. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
