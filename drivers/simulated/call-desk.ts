/**
 * Where calls from outside meet the world. Each call is written down, given to the hooks, struck by the fault rule that matches, done, and
 * its answer written down. A caller that goes away ends its waiting and nothing else.
 */
import { DriverFault } from '../../domain/faults';
import { invariant } from '../../domain/invariant';
import { CallContext, NoAnswer } from './call-context';
import { controlsOf } from './controls';
import type { Strike } from './fault-rules';
import type { HostNews } from './host-news';
import type { PortName } from './journal';
import { fencingBody } from './port-bodies/fencing';
import { heartbeatsBody } from './port-bodies/heartbeats';
import { guestRepairBody } from './port-bodies/guest-repair';
import { hostCommandsBody } from './port-bodies/host-commands';
import { hypervisorBody } from './port-bodies/hypervisor';
import { notifierBody } from './port-bodies/notifier';
import { storageAccessBody, storageLocksBody, volumesBody } from './port-bodies/storage';
import { volumeMovesBody } from './port-bodies/volume-moves';
import { surveyBody } from './port-bodies/survey';
import { failed, type PortCall, silence, targetsOf, unknownOutcome } from './silence';
import type { World } from './world';

/** Called around every port call, so that a test can act at exactly that moment. What they throw goes to the caller. */
export interface CallHooks {
  before?: (called: PortCall) => Promise<void> | void;
  after?: (called: PortCall) => Promise<void> | void;
  /** Ends the process that called; a rule `crash-worker` asks for it. The call itself is never answered. */
  crashWorker?: (called: PortCall) => Promise<void> | void;
}

type Body = (...args: unknown[]) => Promise<unknown>;

export class CallDesk {
  private readonly bodies: Readonly<Record<PortName, Readonly<Record<string, Body>>>>;
  private readonly controls: Readonly<Record<string, (...args: never[]) => unknown>>;

  constructor(
    private readonly world: World,
    readonly hooks: CallHooks = {},
  ) {
    this.controls = controlsOf(world);
    this.bodies = {
      fencing: fencingBody(world),
      hypervisor: hypervisorBody(world),
      hostCommands: hostCommandsBody(world),
      storageLocks: storageLocksBody(world),
      storageAccess: storageAccessBody(world),
      volumes: volumesBody(world),
      volumeMoves: volumeMovesBody(world),
      survey: surveyBody(world),
      heartbeats: heartbeatsBody(world),
      guestRepair: guestRepairBody(world),
      notifier: notifierBody(world),
    } as unknown as Readonly<Record<PortName, Readonly<Record<string, Body>>>>;
  }

  get news(): HostNews {
    return this.world.news;
  }

  async serve(called: PortCall, signal: AbortSignal, hooks: CallHooks = this.hooks): Promise<unknown> {
    const { port, call, args } = called;
    const { journal } = this.world;
    const targets = targetsOf(called);
    const entry = { port, call, target: targets[0] ?? '' };
    // The call's own place in the order is its name in the answers.
    const callId = journal.lastSeq + 1;
    journal.write({ kind: 'call', callId, ...entry, args });
    await hooks.before?.(called);
    try {
      const strike = this.world.rules.strike(port, call, targets);
      const answer = await this.struck(called, strike, signal, hooks);
      journal.write({ kind: 'answer', callId, ...entry, answer });
      return answer;
    } catch (error) {
      const fault = error instanceof DriverFault ? error.fault : { sentence: String(error) };
      journal.write({ kind: 'fault', callId, ...entry, fault });
      throw error;
    } finally {
      await hooks.after?.(called);
    }
  }

  private async struck(
    called: PortCall,
    strike: Strike | undefined,
    signal: AbortSignal,
    hooks: CallHooks,
  ): Promise<unknown> {
    const context = new CallContext(this.world, signal);
    const onOrder = { detail: 'failed on order' };
    const act = (): Promise<unknown> => this.answered(called, context);
    const crash = (): Promise<unknown> => this.crash(called, signal, hooks);
    switch (strike?.kind) {
      case undefined:
        return act();
      case 'fail-before':
        return failed(called, strike.fault.code, { ...onOrder, ...strike.fault.facts });
      case 'fail-after':
        await this.anyway(act);
        return failed(called, strike.fault.code, { ...onOrder, ...strike.fault.facts });
      case 'outcome-unknown':
        if (strike.effect) await this.anyway(act);
        return unknownOutcome(called, 'no answer', this.world.now());
      case 'hang':
        await context.wait(strike.ms);
        return unknownOutcome(called, `no answer in ${strike.ms} ms`, this.world.now());
      case 'delay':
        await context.wait(strike.ms);
        return act();
      case 'lie':
        return this.lie(called, strike.answer);
      case 'crash-worker':
        if (strike.when === 'after') await this.anyway(act);
        return crash();
      case 'world': {
        const turn = (): unknown => this.control(strike.control, strike.args);
        if (strike.when === 'before') turn();
        const answer = await act();
        if (strike.when === 'after') turn();
        return answer;
      }
    }
  }

  /** Does it and drops the answer, whatever it is: the strike has its own. */
  private async anyway(act: () => Promise<unknown>): Promise<void> {
    await act().catch((error: unknown) => {
      if (!(error instanceof DriverFault)) throw error;
    });
  }

  private async answered(called: PortCall, context: CallContext): Promise<unknown> {
    const body = this.bodies[called.port][called.call];
    invariant(body !== undefined, `the simulated datacenter has no call ${called.port}.${called.call}`);
    const ended = (error: unknown): unknown => {
      if (!(error instanceof NoAnswer)) throw error;
      const end = context.sent ? unknownOutcome : silence;
      return end(called, error.message, this.world.now());
    };
    const { signal } = context;
    if (signal.aborted) return ended(new NoAnswer('the call was ended before it was sent'));
    let gone: () => void = () => undefined;
    const leaves = new Promise<never>((_, reject) => {
      gone = () => reject(new NoAnswer('the call was ended'));
      signal.addEventListener('abort', gone, { once: true });
    });
    const work = body(...called.args, context);
    // Nobody may be left to hear it once the caller has gone.
    work.catch(() => undefined);
    return Promise.race([work, leaves])
      .catch(ended)
      .finally(() => signal.removeEventListener('abort', gone));
  }

  private lie({ port, call, args }: PortCall, answer: unknown): unknown {
    if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return answer;
    const observedAt = this.world.now();
    const [host, device] = args as [string, { id: string; agent: string } | undefined];
    if (port === 'fencing')
      return { hostId: host, deviceId: device?.id, agent: device?.agent, observedAt, ...answer };
    if (port === 'hypervisor' && call === 'list') return { hostId: host, observedAt, vms: [], ...answer };
    if (port === 'hypervisor' && call === 'probe') return { source: 'hypervisor', observedAt, ...answer };
    if (port === 'storageLocks' && call === 'list')
      return { poolId: host, observedAt, knows: 'locks', locks: [], ...answer };
    return answer;
  }

  private async crash(called: PortCall, signal: AbortSignal, hooks: CallHooks): Promise<unknown> {
    invariant(hooks.crashWorker !== undefined, 'a rule "crash-worker" needs a hook that ends the worker');
    await hooks.crashWorker(called);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    return unknownOutcome(called, 'the worker was ended', this.world.now());
  }

  control(name: string, args: readonly unknown[]): unknown {
    const turn = this.controls[name];
    invariant(turn !== undefined, `the simulated datacenter has no control ${name}`);
    return (turn as (...a: unknown[]) => unknown)(...args);
  }
}
