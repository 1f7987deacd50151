/**
 * Complete lists of hosts, one read for many askers: a storm of restarts asks every survivor the same question.
 *
 * INVARIANT: a list that is handed out was begun after it was asked for. An older one, however young, may be from before the asker's own last
 * act: a VM that this very recovery had started a moment ago would look as if it ran nowhere.
 */
import type { HostId } from '../domain/ids';
import type { HostVmList } from '../domain/observations';
import type { HypervisorPort } from './ports';

interface Reads {
  underWay: Promise<HostVmList>;
  /** Begins when `underWay` ends; shared by everybody who asked meanwhile. */
  next: Promise<HostVmList> | undefined;
}

export class HostLists {
  private readonly reads = new Map<HostId, Reads>();

  constructor(private readonly hypervisor: Pick<HypervisorPort, 'list'>) {}

  /** Not bound to one asker's cancellation, because others wait for the same read: the driver's own deadline ends it. */
  read(host: HostId): Promise<HostVmList> {
    const known = this.reads.get(host);
    if (known === undefined) return this.begin(host);
    known.next ??= known.underWay.then(
      () => this.begin(host),
      () => this.begin(host),
    );
    return known.next;
  }

  private begin(host: HostId): Promise<HostVmList> {
    const list = this.hypervisor.list(host, new AbortController().signal);
    const mine: Reads = { underWay: list, next: undefined };
    this.reads.set(host, mine);
    const done = (): void => {
      if (this.reads.get(host) === mine && mine.next === undefined) this.reads.delete(host);
    };
    list.then(done, done);
    return list;
  }
}
