import type { HintsPort } from '../../activities/ports';
import type { HostId } from '../../domain/ids';
import { type ContractCase, eventually, within } from './contract';
import type { HypervisorSubject } from './hypervisor.contract';

export interface HintsSubject extends Pick<HypervisorSubject, 'a' | 'patienceMs' | 'startedVm'> {
  readonly hints: HintsPort;
  readonly world: Pick<HypervisorSubject['world'], 'destroy' | 'killDaemon' | 'startDaemon'>;
}

interface Listener {
  /** Resolves once something was heard after this was asked. */
  hears(ms: number): Promise<void>;
  readonly count: () => number;
  readonly ended: Promise<void>;
  giveUp(): void;
}

function listener(s: HintsSubject, host: HostId = s.a): Listener {
  const control = new AbortController();
  let count = 0;
  const ended = s.hints.follow(host, () => void (count += 1), control.signal);
  return {
    ended,
    count: () => count,
    giveUp: () => control.abort(),
    async hears(ms) {
      const before = count;
      await eventually(ms, async () => count > before);
    },
  };
}

/** When a follower has taken hold is told to nobody: guests come and go until one was heard. */
async function untilHeard(s: HintsSubject, heard: Listener): Promise<void> {
  const before = heard.count();
  await eventually(s.patienceMs * 3, async () => {
    const { vmId } = await s.startedVm(s.a, 'persistent');
    await s.world.destroy(s.a, vmId);
    return heard.count() > before;
  });
}

export const hintsContract: readonly ContractCase<HintsSubject>[] = [
  {
    name: 'a guest that starts is told, and one that ends',
    async run(s) {
      const heard = listener(s);
      await untilHeard(s, heard);
      const started = heard.hears(s.patienceMs);
      const { vmId } = await s.startedVm(s.a, 'persistent');
      await started;
      const ended = heard.hears(s.patienceMs);
      await s.world.destroy(s.a, vmId);
      await ended;
      expect(heard.count()).toBeGreaterThanOrEqual(2);
      heard.giveUp();
      await heard.ended;
    },
  },
  {
    name: 'whoever gives up is let go at once, and told nothing more',
    async run(s) {
      const heard = listener(s);
      await untilHeard(s, heard);
      heard.giveUp();
      await within(s.patienceMs, heard.ended);
      const before = heard.count();
      const witness = listener(s);
      await untilHeard(s, witness);
      expect(heard.count()).toBe(before);
      witness.giveUp();
      await witness.ended;
    },
  },
  {
    name: 'a host whose daemon is not there is no error, and is heard again once it is back',
    async run(s) {
      await s.world.killDaemon(s.a);
      const heard = listener(s);
      await s.world.startDaemon(s.a);
      await untilHeard(s, heard);
      expect(heard.count()).toBeGreaterThan(0);
      heard.giveUp();
      await within(s.patienceMs, heard.ended);
    },
  },
];
