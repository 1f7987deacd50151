/** VMs that something leaves behind without starting them: by name, with the command that brings them back. Said in words that every ending shares. */
import type { HostId } from '../domain/ids';
import { limits } from '../domain/limits';

/** One alert for each host, whoever left them; cleared when its VMs have been recovered. */
export const downAlert = (host: HostId): string => `down:${host}`;

export interface LeftDown {
  readonly sentence: string;
  readonly nextCommand: string;
}

/** Undefined when nobody is left behind. The sentence begins with a full stop, to stand behind another. */
export function leftDownSentence(
  host: HostId,
  names: readonly string[],
  are: 'down' | 'not-known',
): LeftDown | undefined {
  if (names.length === 0) return undefined;
  const some = [...names].sort().slice(0, limits.detailLinesMax);
  const more = names.length > some.length ? ` and ${names.length - some.length} more` : '';
  const what =
    are === 'down'
      ? `${names.length} VMs of ${host} were not started again`
      : `whether the ${names.length} VMs of ${host} run is not known`;
  return {
    sentence: `. ${what}: ${some.join(', ')}${more}`,
    nextCommand: `vmedic host recover ${host} --reason "..."`,
  };
}
