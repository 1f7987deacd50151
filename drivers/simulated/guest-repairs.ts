/**
 * What is wrong inside guests' disks, and what a repair has kept of them. Theory of operation: a damaged guest runs and never shows that it is well; what
 * was kept is the damage as it stood, so that going back brings it back too.
 */

/** `mendable`: a replay and the file system's own tool cure it. `beyond`: they do not. */
export type GuestDamage = 'mendable' | 'beyond';

export interface KeptState {
  readonly damage: GuestDamage | undefined;
  /** The disk may have been written to since. */
  written: boolean;
  state: 'kept' | 'put-back';
}

export class GuestRepairs {
  private readonly damages = new Map<string, GuestDamage>();
  private readonly kept = new Map<string, KeptState>();

  isDamaged(path: string): boolean {
    return this.damages.has(path);
  }

  damageOf(path: string): GuestDamage | undefined {
    return this.damages.get(path);
  }

  damage(path: string, damage: GuestDamage | undefined): void {
    if (damage === undefined) this.damages.delete(path);
    else this.damages.set(path, damage);
  }

  /** Undefined where this attempt has kept nothing. */
  keptOf(path: string, attempt: string): KeptState | undefined {
    return this.kept.get(keyOf(path, attempt));
  }

  keep(path: string, attempt: string): void {
    const damage = this.damages.get(path);
    this.kept.set(keyOf(path, attempt), { damage, written: false, state: 'kept' });
  }

  forget(path: string, attempt: string): void {
    this.kept.delete(keyOf(path, attempt));
  }
}

const keyOf = (path: string, attempt: string): string => `${attempt} ${path}`;
