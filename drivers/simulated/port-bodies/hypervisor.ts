import type { ActOutcome, HypervisorPort, ReadDefinition } from '../../../activities/ports';
import { permitIsFresh } from '../../../domain/evidence';
import { fault, type Fault } from '../../../domain/faults';
import type { HostId, VmId } from '../../../domain/ids';
import type { ObservedVm } from '../../../domain/observations';
import type { CallContext, Served } from '../call-context';
import { parseDefinition, shapeOf } from '../definition-text';
import type { StartRefusal, World } from '../world';
import type { GuestProcess, HostState } from '../world-state';

const ok: ActOutcome = { kind: 'ok' };
const refused = (made: Fault): ActOutcome => ({ kind: 'refused', fault: made });

export function hypervisorBody(world: World): Served<HypervisorPort> {
  return {
    async probe(host, context) {
      const state = world.host(host);
      const observedAt = world.now();
      if (!world.answers(state)) return context.silence('no answer');
      if (state.daemon === 'dead') return { source: 'hypervisor', says: 'refused', observedAt };
      if (state.daemon === 'hung') {
        await context.wait(world.costs.silenceMs);
        return { source: 'hypervisor', says: 'hung', observedAt };
      }
      await context.wait(world.costs.readMs);
      const runningVms = world.processesOn(host).filter((p) => p.state === 'running').length;
      return { source: 'hypervisor', says: 'answers', runningVms, observedAt: world.now() };
    },

    async list(host, context) {
      const state = await reach(world, host, context);
      return { hostId: host, observedAt: world.now(), vms: observed(world, state) };
    },

    async definitions(host, vms, context) {
      const asked = vms === undefined ? undefined : new Set(vms);
      const state = await reach(world, host, context);
      return readDefinitions(world, state).filter((d) => asked?.has(d.vmId) !== false);
    },

    define: (host, definition, context) =>
      act(world, host, world.costs.defineMs, context, (state) => {
        const { vmId, version, text } = definition;
        const parsed = parseDefinition(text);
        if (parsed?.vmId !== vmId)
          return refused(
            fault('DEFINE_REFUSED', { host, vm: vmId, detail: 'the definition cannot be read' }),
          );
        const namesake = [...state.definitions.values()].find(
          (d) => d.name === parsed.name && d.vmId !== vmId,
        );
        if (namesake !== undefined)
          return refused(
            fault('DEFINE_REFUSED', {
              host,
              vm: vmId,
              detail: `${parsed.name} is defined there as ${namesake.vmId}`,
            }),
          );
        const known = state.definitions.get(vmId);
        if (known?.text === text && known.version === version) return ok;
        const autostart = known?.autostart === true;
        state.definitions.set(vmId, { vmId, name: parsed.name, text, version, by: 'port', autostart });
        world.journal.effect({ effect: 'defined', vmId, hostId: host, by: 'port', version });
        return ok;
      }),

    start: (permit, definition, persistent, context) =>
      act(world, permit.target, world.costs.startMs, context, (state) => {
        const { vmId, target } = permit;
        const refuse = (detail: string): ActOutcome =>
          refused(fault('PERMIT_REFUSED', { vm: vmId, host: target, detail }));
        if (definition.vmId !== vmId) return refuse(`the definition is of ${definition.vmId}`);
        if (!permitIsFresh(permit, world.nowMs())) return refuse('the permit has aged');
        if (world.processOf(vmId, target) !== undefined) return ok;
        const text = persistent ? state.definitions.get(vmId)?.text : definition.text;
        if (text === undefined) return refused(fault('VM_NOT_FOUND', { vm: vmId, host: target }));
        const started = world.startProcess(target, text, persistent, 'port', permit);
        return 'boot' in started ? ok : refused(startFault(started, vmId, target));
      }),

    resume: (permit, context) =>
      act(world, permit.target, world.costs.defineMs, context, () => {
        const { vmId: vm, target: host } = permit;
        if (!permitIsFresh(permit, world.nowMs()))
          return refused(fault('PERMIT_REFUSED', { vm, host, detail: 'the permit has aged' }));
        const process = world.processOf(vm, host);
        if (process?.state === 'running') return ok;
        if (process?.state !== 'paused')
          return refused(fault('PAUSED_VM_REFUSED', { vm, host, detail: 'it is not paused there any more' }));
        Object.assign(process, { state: 'running', reason: 'unpaused' });
        world.stir(process);
        return ok;
      }),

    endPaused: (host, vm, context) =>
      act(world, host, world.costs.defineMs, context, () => {
        const process = world.processOf(vm, host);
        if (process === undefined) return ok;
        if (process.state !== 'paused')
          return refused(fault('PAUSED_VM_REFUSED', { vm, host, detail: `it is ${process.state} there` }));
        world.endProcess(process, 'destroyed');
        return ok;
      }),

    shutDown: (host, vm, context) =>
      act(world, host, world.costs.defineMs, context, () => ended(world, host, vm, 'shutdown')),

    end: (host, vm, context) =>
      act(world, host, world.costs.defineMs, context, () => ended(world, host, vm, 'destroyed')),

    undefine: (host, vm, context) =>
      act(world, host, world.costs.defineMs, context, (state) => {
        if (world.processOf(vm, host) !== undefined)
          return refused(fault('UNDEFINE_REFUSED', { host, vm, detail: 'it runs there' }));
        state.lastReason.delete(vm);
        if (state.definitions.delete(vm))
          world.journal.effect({ effect: 'definition-removed', vmId: vm, hostId: host, by: 'port' });
        return ok;
      }),

    disableAutostart: (host, vm, context) =>
      act(world, host, world.costs.defineMs, context, (state) => {
        const definition = state.definitions.get(vm);
        if (definition?.autostart !== true) return ok;
        definition.autostart = false;
        world.journal.effect({ effect: 'autostart-disabled', vmId: vm, hostId: host });
        return ok;
      }),
  };
}

/** A guest that stands still does not hear that it is to shut down. */
function ended(world: World, host: HostId, vm: VmId, how: 'shutdown' | 'destroyed'): ActOutcome {
  const process = world.processOf(vm, host);
  const hears = process?.state === 'running' && !process.guestFrozen;
  if (process !== undefined && (hears || how === 'destroyed')) world.endProcess(process, how);
  return ok;
}

/** For reads: the host, once it has answered. */
export async function reach(world: World, host: HostId, context: CallContext): Promise<HostState> {
  const state = world.host(host);
  if (!world.answers(state)) return context.silence('no answer');
  if (state.daemon === 'dead') return context.silence('connection refused');
  if (state.daemon === 'hung') return context.silence('its daemon is hung');
  await context.wait(world.costs.readMs);
  const since = world.host(host);
  if (!world.answers(since) || since.daemon !== 'alive') return context.silence('the connection was lost');
  return since;
}

/**
 * An act takes its time at the host, whoever waits. A daemon that hangs has taken it in and does it when it goes on; a host that lost its
 * power meanwhile has not done it. In both cases the caller learns nothing.
 */
export async function act<Outcome = ActOutcome>(
  world: World,
  host: HostId,
  costMs: number,
  context: CallContext,
  apply: (state: HostState) => Outcome,
): Promise<Outcome> {
  const state = world.host(host);
  if (!world.answers(state)) return context.silence('no answer');
  if (state.daemon === 'dead') return context.silence('connection refused');
  const boot = state.bootId;
  context.sent = true;
  if (state.daemon === 'alive') await context.work(costMs);
  const since = world.host(host);
  if (since.power === 'off' || since.bootId !== boot || since.daemon === 'dead')
    return context.silence('the connection was lost');
  if (since.frozen || since.daemon === 'hung') {
    state.late.push(() => void apply(state));
    return context.silence('its daemon is hung');
  }
  const outcome = apply(state);
  return state.network !== 'up' ? context.silence('the connection was lost') : outcome;
}

function observed(world: World, host: HostState): ObservedVm[] {
  const processes = world.processesOn(host.spec.id);
  const stopped = [...host.definitions.values()].filter(
    (d) => world.processOf(d.vmId, host.spec.id) === undefined,
  );
  return [
    ...processes.map((p): ObservedVm => {
      const { vmId, name, state, reason, persistent } = p;
      const autostart = host.definitions.get(vmId)?.autostart === true;
      return { vmId, name, state, reason, persistent, autostart };
    }),
    ...stopped.map((d): ObservedVm => {
      const last = host.lastReason.get(d.vmId) ?? { state: 'shut-off', reason: 'unknown' };
      return { vmId: d.vmId, name: d.name, ...last, persistent: true, autostart: d.autostart };
    }),
  ];
}

function readDefinitions(world: World, host: HostState): ReadDefinition[] {
  const processes = world.processesOn(host.spec.id);
  const transient = processes.filter((p) => !host.definitions.has(p.vmId));
  return [
    ...[...host.definitions.values()].map((d) => readDefinition(d, true, d.autostart)),
    ...transient.map((p: GuestProcess) => readDefinition(p, false, false)),
  ].filter((d) => d !== undefined);
}

function readDefinition(
  from: { readonly vmId: VmId; readonly name: string; readonly text: string },
  persistent: boolean,
  autostart: boolean,
): ReadDefinition | undefined {
  const parsed = parseDefinition(from.text);
  if (parsed === undefined) return undefined;
  const { vmId, name, text } = from;
  return { vmId, name, text, persistent, autostart, shape: shapeOf(parsed) };
}

function startFault(refusal: StartRefusal, vm: VmId, host: HostId): Fault {
  if (refusal.why === 'lock')
    return fault('LOCK_HELD', { path: refusal.path, holder: refusal.holder, vm, host });
  return fault('START_REFUSED', { host, vm, detail: refusal.detail });
}
