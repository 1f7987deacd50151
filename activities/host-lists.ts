/**
 * Complete lists of hosts, read once for many askers: a storm of restarts asks every survivor the same question. A list keeps its own time
 * of reading, so ageing rules see how old it is; `fresh` always reads anew.
 */
import type { HostId } from '../domain/ids';
import type { HostVmList } from '../domain/observations';
import type { HypervisorPort } from './ports';

/** Far below the age limit of a permit's lists, long enough to serve a burst of starts from one read. */
const sharedForMs = 1_000;

export class HostLists {
  private readonly reads = new Map<
    HostId,
    { readonly begunMs: number; readonly list: Promise<HostVmList> }
  >();

  constructor(private readonly hypervisor: HypervisorPort) {}

  fresh(host: HostId, signal: AbortSignal): Promise<HostVmList> {
    return this.hypervisor.list(host, signal);
  }

  /** A list begun no earlier than `notBeforeMs` and at most a second old. */
  recent(host: HostId, notBeforeMs: number): Promise<HostVmList> {
    const now = Date.now();
    const known = this.reads.get(host);
    if (known !== undefined && now - known.begunMs <= sharedForMs && known.begunMs >= notBeforeMs)
      return known.list;
    // Not bound to one asker's cancellation: others wait for the same read. The driver's own deadline ends it.
    const list = this.hypervisor.list(host, new AbortController().signal);
    this.reads.set(host, { begunMs: now, list });
    list.catch(() => this.reads.delete(host));
    return list;
  }
}
