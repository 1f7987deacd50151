/** A host that answers after it was fenced: people are told once, with the command that lets it take VMs again. */
import type { Host } from '../domain/fleet';
import type { HostRecord } from '../domain/records';
import { clearTold, raise } from './incident';
import type { WatchedCluster } from './watched-cluster';

/** Level, not edge: told for as long as it is kept out, over once it is not. Nothing is readmitted by itself. */
export async function tellReturned(
  watch: WatchedCluster,
  { id }: Pick<Host, 'id'>,
  { standing }: Pick<HostRecord, 'standing'>,
): Promise<void> {
  if (watch.supervision === undefined) return;
  const key = `returned:${id}`;
  const alerted = await watch.alerted(id);
  if (standing !== 'quarantined') return clearTold(watch.env, alerted, key);
  if (alerted.has(key)) return;
  await raise(watch.env, undefined, {
    key,
    severity: 'warning',
    sentence: `${id} was fenced and answers again: it takes no VMs until it is readmitted`,
    nextCommand: `vmedic host readmit ${id} --reason "..."`,
  });
  alerted.add(key);
}
