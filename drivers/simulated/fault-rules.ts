/**
 * Faults on order. A rule matches calls by port, name and target; it lets `after` of them pass, strikes `times` of the following, and is
 * then spent. Rules are added and cleared while the world runs; the first one that matches wins.
 */
import type { FaultCode, FaultFacts } from '../../domain/faults';
import type { PortName } from './journal';

export interface FaultOrder {
  readonly code: FaultCode;
  readonly facts?: FaultFacts;
}

export type Strike =
  /** The call fails and had no effect. */
  | { readonly kind: 'fail-before'; readonly fault: FaultOrder }
  /** The call takes effect, and fails all the same. */
  | { readonly kind: 'fail-after'; readonly fault: FaultOrder }
  /** No answer; it took effect, or not. */
  | { readonly kind: 'outcome-unknown'; readonly effect: boolean }
  /** No answer for this long, then the driver's deadline ends it. Nothing was sent. */
  | { readonly kind: 'hang'; readonly ms: number }
  /** Slower by this much, else as always. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** An answer with nothing behind it. An object is laid over the true shape, so `{ power: 'off' }` is enough. */
  | { readonly kind: 'lie'; readonly answer: unknown }
  /** The process that called dies, before the effect or right after it. */
  | { readonly kind: 'crash-worker'; readonly when: 'before' | 'after' }
  /** Something happens in the world at that very moment: any control call, for instance `cutPower`. */
  | {
      readonly kind: 'world';
      readonly when: 'before' | 'after';
      readonly control: string;
      readonly args: readonly unknown[];
    };

export interface FaultRule {
  readonly id: string;
  readonly port: PortName;
  readonly call: string;
  /** The host, pool or device called upon; any when left out. */
  readonly target?: string;
  /** Calls that pass before the rule strikes. */
  readonly after?: number;
  /** Calls struck; without end when left out. */
  readonly times?: number;
  readonly then: Strike;
}

export class FaultRules {
  private readonly rules = new Map<string, { readonly rule: FaultRule; seen: number; struck: number }>();

  add(rule: FaultRule): void {
    this.rules.set(rule.id, { rule, seen: 0, struck: 0 });
  }

  clear(id?: string): void {
    if (id === undefined) this.rules.clear();
    else this.rules.delete(id);
  }

  /** How often a rule has struck, so that a test can show that it did. */
  struck(id: string): number {
    return this.rules.get(id)?.struck ?? 0;
  }

  /** Counts the call against every rule that matches it, and returns what strikes it, if anything does. */
  strike(port: PortName, call: string, targets: readonly string[]): Strike | undefined {
    let chosen: Strike | undefined;
    for (const state of this.rules.values()) {
      const { rule } = state;
      if (rule.port !== port || rule.call !== call) continue;
      if (rule.target !== undefined && !targets.includes(rule.target)) continue;
      state.seen += 1;
      const due = state.seen > (rule.after ?? 0) && state.struck < (rule.times ?? Infinity);
      if (!due || chosen !== undefined) continue;
      state.struck += 1;
      chosen = rule.then;
    }
    return chosen;
  }
}
