/** Moments of a volume's move: right before and right after each call of it, its change of the record included. */
import { join } from 'node:path';
import type { Ports } from '../../activities/ports';
import type { VmId } from '../../domain/ids';

export const moveCalls = ['preflight', 'submit', 'follow', 'classify', 'record', 'remove'] as const;
export type MoveCall = (typeof moveCalls)[number];
export type Moment = 'before' | 'after';
export interface At {
  readonly call: MoveCall;
  readonly when: Moment;
}

/** Runs right before and right after each call of a move, its change of the record included. */
export type MoveHook = (at: At, vm: VmId) => Promise<void>;

export function hooked(ports: Ports, hook: MoveHook): Ports {
  const around = <T extends object>(port: T, calls: Readonly<Record<string, MoveCall>>): T =>
    new Proxy(port, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        const call = calls[String(name)];
        const run = (...args: unknown[]): unknown =>
          (value as (...a: unknown[]) => unknown).apply(target, args);
        if (call === undefined) return run;
        return async (...args: unknown[]): Promise<unknown> => {
          const [first] = args as [VmId | { vmId?: VmId; order?: { vmId: VmId } }];
          const vm = typeof first === 'string' ? first : (first.order?.vmId ?? first.vmId);
          await hook({ call, when: 'before' }, vm as VmId);
          const answer = await run(...args);
          await hook({ call, when: 'after' }, vm as VmId);
          return answer;
        };
      },
    });
  const same = ['preflight', 'submit', 'follow', 'classify', 'remove'] as const;
  return {
    ...ports,
    volumeMoves: around(ports.volumeMoves, Object.fromEntries(same.map((c) => [c, c]))),
    inventory: around(ports.inventory, { redefineVm: 'record' }),
  };
}

/** Where a worker process of its own is told to end: one empty file per moment and VM. */
export const strikeFile = (folder: string, { call, when }: At, vm: VmId): string =>
  join(folder, `${when}-${call}-${vm}`);
