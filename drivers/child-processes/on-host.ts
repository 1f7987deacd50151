import type { HostId } from '../../domain/ids';

/** How a script that ran on a host to its own end went. */
export interface HostScriptEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a shell script on a host; `args` are its `$1`, `$2` and so on, whatever characters they hold. Throws `HOST_COMMAND_FAILED` when the
 * host was silent, refused, or did not finish by the deadline: then an act that the script holds may have happened, and must be read back.
 */
export type RunOnHost = (
  host: HostId,
  script: string,
  args: readonly string[],
  deadlineMs: number,
  signal: AbortSignal,
) => Promise<HostScriptEnd>;
