/** Asking living hosts about one that is silent. */
import type { HostId } from '../domain/ids';
import type { HostSign } from '../domain/observations';

/** More than one, because a link of its own may be dead; few, because each is a command on a host that is well. */
const asked = 2;
/** Of a large cluster: when nobody of so many knows, something else is wrong with all of them. */
const askedMax = 10;

/** Two are asked; for whoever of them does not know, the next ones are: "I do not know" is no answer that a host could be judged by. */
export async function askUntilKnown(
  others: readonly HostId[],
  ask: (via: HostId) => Promise<HostSign>,
): Promise<HostSign[]> {
  const first = await Promise.all(others.slice(0, asked).map(ask));
  if (first.every((s) => s.says !== 'not-known')) return first;
  return [...first, ...(await Promise.all(others.slice(asked, askedMax).map(ask)))];
}
