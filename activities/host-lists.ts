/**
 * Complete lists of hosts, one read for many askers: a storm of restarts asks every survivor the same question.
 *
 * INVARIANT: a list that is handed out was begun after it was asked for. An older one, however young, may be from before the asker's own last
 * act: a VM that this very recovery had started a moment ago would look as if it ran nowhere.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { HostId } from '../domain/ids';
import type { HostVmList } from '../domain/observations';
import type { HypervisorPort } from './ports';

interface Reads {
  readonly underWay: Promise<HostVmList>;
  /** Until then it serves everybody who asks. */
  begun: boolean;
  /** Begins when `underWay` ends; shared by everybody who asked meanwhile. */
  next: Promise<HostVmList> | undefined;
}

/**
 * After a read its host rests for half as long as it took, at most so long: thirty guests that boot there need the CPU more than a second list
 * right behind the first, and the next one serves all the more askers.
 */
const restShare = 0.5;
const restMsMax = 150;

export class HostLists {
  private readonly reads = new Map<HostId, Reads>();
  private readonly restsUntilMs = new Map<HostId, number>();

  constructor(private readonly hypervisor: Pick<HypervisorPort, 'list'>) {}

  /** Not bound to one asker's cancellation, because others wait for the same read: the driver's own deadline ends it. */
  read(host: HostId): Promise<HostVmList> {
    const known = this.reads.get(host);
    if (known === undefined) return this.begin(host);
    if (!known.begun) return known.underWay;
    known.next ??= known.underWay.then(
      () => this.begin(host),
      () => this.begin(host),
    );
    return known.next;
  }

  private begin(host: HostId): Promise<HostVmList> {
    const restMs = (this.restsUntilMs.get(host) ?? 0) - Date.now();
    const read = async (): Promise<HostVmList> => {
      if (restMs > 0) await delay(restMs);
      mine.begun = true;
      const begunMs = Date.now();
      try {
        return await this.hypervisor.list(host, new AbortController().signal);
      } finally {
        const now = Date.now();
        this.restsUntilMs.set(host, now + Math.min((now - begunMs) * restShare, restMsMax));
      }
    };
    const mine: Reads = { underWay: Promise.resolve().then(read), begun: false, next: undefined };
    this.reads.set(host, mine);
    const done = (): void => {
      if (this.reads.get(host) === mine && mine.next === undefined) this.reads.delete(host);
    };
    mine.underWay.then(done, done);
    return mine.underWay;
  }
}
