/** Many simulated datacenters, one per seed, behind one set of ports: a call goes to the world that its host, pool or alert belongs to. */
import type { SimulatedPorts } from '../../drivers/simulated';
import { CallDesk } from '../../drivers/simulated/call-desk';
import { controlsOf, type WorldControls } from '../../drivers/simulated/controls';
import { portsOver } from '../../drivers/simulated/simulated-ports';
import { World } from '../../drivers/simulated/world';
import type { Plan, WorldEvent } from './plan';

export interface PlannedWorld {
  readonly plan: Plan;
  readonly world: World;
  readonly controls: WorldControls;
  /** What is still to happen; emptied when the world is healed. */
  readonly events: WorldEvent[];
  /** Events count calls from here on: until then the datacenter is well, and is learnt. */
  begun: boolean;
}

interface Called {
  readonly port: string;
  readonly call: string;
  readonly args: readonly unknown[];
}

export function manyWorlds(plans: readonly Plan[]): { ports: SimulatedPorts; worlds: PlannedWorld[] } {
  const worlds = plans.map((plan): PlannedWorld => {
    const world = new World(plan.spec);
    return { plan, world, controls: controlsOf(world), events: [...plan.events], begun: false };
  });
  const desks = new Map(worlds.map((w) => [w.plan.prefix, deskOf(w)]));
  const ports = portsOver((called, signal) => {
    const desk = desks.get(prefixOf(called));
    if (desk === undefined) throw new Error(`no world for ${JSON.stringify(called).slice(0, 300)}`);
    return desk.serve(called, signal);
  });
  return { ports, worlds };
}

/** `s17-` of `s17-hv-a`, `s17-shared`, a permit for `s17-hv-b`, or an alert about `host-s17-hv-a-1`. */
function prefixOf({ port, args }: Called): string {
  const first = args[0] as string | { target?: string; key?: string; sentence?: string; incidentId?: string };
  const name =
    typeof first === 'string'
      ? first
      : port === 'notifier'
        ? `${first.key} ${first.incidentId}`
        : (first.target ?? '');
  return /s\d+-/.exec(name)?.[0] ?? '';
}

/** Rules are set at once; events come after so many calls to this world. */
function deskOf(planned: PlannedWorld): CallDesk {
  const { events: left, world, controls } = planned;
  let calls = 0;
  return new CallDesk(world, {
    before: () => {
      if (!planned.begun) return;
      calls += 1;
      for (const event of left.filter((e) => e.afterCalls <= calls)) {
        left.splice(left.indexOf(event), 1);
        turn(controls, event.control, event.args);
      }
    },
  });
}

export function turn(controls: WorldControls, control: string, args: readonly unknown[]): void {
  (controls as unknown as Record<string, (...a: unknown[]) => unknown>)[control]?.(...args);
}
