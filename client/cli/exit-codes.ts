/** What a command's end means to scripts. Stable. */
export const exitCodes = {
  done: 0,
  /** A defect of VMedic itself. */
  defect: 1,
  /** Wrong usage, or a config with mistakes. */
  usage: 2,
  /** Busy, held, or not allowed now. */
  refused: 3,
  /** Not, or only partly, recovered. */
  partly: 4,
  /** Stuck, or waiting for a person. */
  waits: 5,
  /** Temporal or the inventory cannot be reached. */
  unreachable: 6,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeHelp = `Exit codes:
  0  done
  1  a defect of VMedic itself
  2  wrong usage or config
  3  refused (busy, held, not allowed)
  4  not or only partly recovered
  5  stuck or waiting for a person
  6  cannot reach Temporal or the inventory`;
