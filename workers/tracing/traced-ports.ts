import { SpanKind } from '@opentelemetry/api';
import type { Ports } from '../../activities/ports';
import type { Within } from './open-telemetry';

/** The inventory is left out: its many small statements would bury what was done to the world. */
const traced = [
  'fencing',
  'hypervisor',
  'hostCommands',
  'storageLocks',
  'storageAccess',
  'volumes',
  'volumeMoves',
  'survey',
  'heartbeats',
  'guestRepair',
] as const satisfies readonly (keyof Ports)[];

/** The same ports; a call made within a trace leaves a span there, any other none. */
export function tracedPorts(ports: Ports, inTrace: () => boolean, within: Within): Ports {
  return {
    ...ports,
    ...Object.fromEntries(traced.map((name) => [name, tracedPort(name, ports[name], inTrace, within)])),
  };
}

function tracedPort(name: string, port: object, inTrace: () => boolean, within: Within): object {
  return new Proxy(port, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function' || typeof key !== 'string') return value;
      return (...args: unknown[]): unknown => {
        const call = (): unknown => Reflect.apply(value, target, args);
        if (!inTrace()) return call();
        // By what every port's first argument is: the id of a host, a VM, a device or a pool.
        const [about] = args;
        const attributes = {
          'vmedic.port': name,
          'vmedic.call': key,
          ...(typeof about === 'string' && { 'vmedic.target': about }),
        };
        return within(`${name}.${key}`, { kind: SpanKind.CLIENT, attributes }, () => Promise.resolve(call()));
      };
    },
  });
}
