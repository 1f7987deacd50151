/** The ports as views on a simulated datacenter. The inventory is never simulated: it is always PostgreSQL. */
import type { HintsPort, Ports } from '../../activities/ports';
import { CallDesk, type CallHooks } from './call-desk';
import { simulatedStrategies } from './port-bodies/storage';
import type { PortCall } from './silence';
import type { World } from './world';

export type SimulatedPorts = Pick<
  Ports,
  | 'fencing'
  | 'hypervisor'
  | 'hostCommands'
  | 'storageLocks'
  | 'storageAccess'
  | 'volumes'
  | 'volumeMoves'
  | 'survey'
  | 'hints'
  | 'heartbeats'
  | 'guestRepair'
  | 'notifier'
>;

/** Performs one call on the world, wherever the world is. Answers and faults are the port's own. */
export type Perform = (called: PortCall, signal: AbortSignal) => Promise<unknown>;

export function simulatedPorts(world: World, hooks: CallHooks = {}): SimulatedPorts {
  const desk = new CallDesk(world, hooks);
  return portsOver((called, signal) => desk.serve(called, signal), world.news);
}

const noHints: HintsPort = { follow: () => Promise.resolve() };

/** @param hints What hosts tell by themselves; none when left out. */
export function portsOver(perform: Perform, hints: HintsPort = noHints): SimulatedPorts {
  const calls = <Port extends Exclude<keyof SimulatedPorts, 'hints'>>(
    port: Port,
    names: readonly (keyof SimulatedPorts[Port])[],
  ) =>
    Object.fromEntries(
      names.map((name) => [
        name,
        (...all: unknown[]) =>
          perform({ port, call: String(name), args: all.slice(0, -1) }, all.at(-1) as AbortSignal),
      ]),
    ) as unknown as SimulatedPorts[Port];
  return {
    hints,
    fencing: calls('fencing', ['status', 'off']),
    hypervisor: calls('hypervisor', [
      ...(['probe', 'list', 'definitions', 'define'] as const),
      ...(['start', 'resume', 'endPaused', 'shutDown', 'end', 'undefine', 'disableAutostart'] as const),
    ]),
    hostCommands: calls('hostCommands', [
      ...(['bootId', 'reaches', 'claim', 'inspectDisks', 'markHealth', 'isHealthy'] as const),
    ]),
    storageLocks: {
      ...calls('storageLocks', ['list', 'release', 'probe']),
      strategies: simulatedStrategies,
    },
    storageAccess: calls('storageAccess', ['read', 'cut', 'restore']),
    volumes: calls('volumes', ['makeReady', 'identify', 'standDown']),
    volumeMoves: calls('volumeMoves', [
      ...(['preflight', 'submit', 'find', 'follow', 'cancel'] as const),
      ...(['switchOver', 'classify', 'letGo', 'remove'] as const),
    ]),
    survey: calls('survey', ['survey', 'testLocks']),
    heartbeats: calls('heartbeats', ['keep', 'look']),
    guestRepair: calls('guestRepair', ['preflight', 'keep', 'mend', 'goBack', 'drop']),
    notifier: calls('notifier', ['deliver']),
  };
}
