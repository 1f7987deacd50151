/** Who listens to a host, and what its daemon would tell them: that a guest came, went or stood still, never more than that something did. */
import type { HintsPort } from '../../activities/ports';
import type { HostId } from '../../domain/ids';
import type { Effect } from './journal';

export class HostNews implements HintsPort {
  private readonly listeners = new Map<HostId, Set<() => void>>();

  /** @param answers Whether a packet from the host arrives now. @param daemonLives Whether its daemon is there to tell anything. */
  constructor(
    private readonly answers: (host: HostId) => boolean,
    private readonly daemonLives: (host: HostId) => boolean,
  ) {}

  follow(host: HostId, heard: () => void, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const all = this.listeners.get(host) ?? new Set<() => void>();
    this.listeners.set(host, all);
    const mine = (): void => heard();
    all.add(mine);
    return new Promise((resolve) => {
      const end = (): void => {
        all.delete(mine);
        resolve();
      };
      signal.addEventListener('abort', end, { once: true });
    });
  }

  /** Something about a guest of the host has changed. */
  tell(host: HostId): void {
    if (this.answers(host) && this.daemonLives(host)) this.say(host);
  }

  note(effect: Effect): void {
    switch (effect.effect) {
      case 'process-started':
      case 'process-ended':
      case 'defined':
      case 'definition-removed':
        return this.tell(effect.hostId);
      case 'host-changed':
        // The connection is closed by the kernel that goes on without the daemon.
        if (effect.to === 'daemon dead' && this.answers(effect.hostId)) this.say(effect.hostId);
        return;
      default:
        return;
    }
  }

  /** Once what is being written down has happened: whoever hears of it and looks must find it so. */
  private say(host: HostId): void {
    for (const heard of this.listeners.get(host) ?? []) queueMicrotask(heard);
  }
}
