/** What tests of volume moves see of the world by themselves: where a VM's files are, and whether any was lost. */
import type { WorkflowHandle } from '@temporalio/client';
import { incidentId, type IncidentId } from '../../domain/ids';
import { parseDefinition } from '../../drivers/simulated/definition-text';
import { moveStatusQuery, type MoveStatus } from '../../workflows/messages';
import { judge } from './judge';
import type { RecoverySystem } from './recovery-system';
import { eventually } from './story';

export interface Placed {
  readonly path: string;
  readonly pool: string;
  readonly boots: readonly string[];
}

/** The disks that the VM would start from next, with who has ever written to them; read from the world, not through a port. */
export function placesOf(system: RecoverySystem, name: string): Placed[] {
  const world = system.controls.snapshot();
  const text = world.hosts.flatMap((h) => h.definitions).find((d) => d.vmId === system.vm(name))?.text;
  const definition = text === undefined ? undefined : parseDefinition(text);
  return (definition?.disks ?? []).map(({ path, poolId }) => {
    const disk = world.disks.find((d) => d.path === path);
    return {
      path,
      pool: poolId,
      boots: disk === undefined ? ['(the file is gone)'] : [...new Set(disk.writes.map((w) => w.boot))],
    };
  });
}

export const poolOf = (system: RecoverySystem, which: 'first' | 'second'): string =>
  system.spec.pools[which === 'first' ? 0 : 1]!.id;

export async function recordedPaths(system: RecoverySystem, name: string): Promise<string[]> {
  return (await system.inventory.vm(system.vm(name)))?.shape.disks.map((d) => d.path) ?? [];
}

/** The record names what the VM would start from, the stored definition too, and every file of it is there. */
export async function recordIsTrue(system: RecoverySystem, name: string): Promise<void> {
  const paths = placesOf(system, name).map((p) => p.path);
  expect(await recordedPaths(system, name)).toEqual(paths);
  const stored = await system.inventory.definition(system.vm(name));
  expect(parseDefinition(stored?.text ?? '')?.disks.map((d) => d.path)).toEqual(paths);
  for (const place of placesOf(system, name)) expect(place.boots).not.toContain('(the file is gone)');
}

export async function judgeMove(system: RecoverySystem, name: string): Promise<void> {
  await recordIsTrue(system, name);
  await judge(system);
}

/** Files that attempts of moves have made and that are still there. */
export const copiesLeft = (system: RecoverySystem): string[] => {
  const world = system.controls.snapshot();
  const used = new Set(
    world.hosts
      .flatMap((h) => h.definitions)
      .flatMap((d) => parseDefinition(d.text)?.disks.map((x) => x.path) ?? []),
  );
  return world.disks.filter((d) => d.madeBy !== undefined && !used.has(d.path)).map((d) => d.path);
};

/** How often a move of this VM was really begun. */
export const begunOf = (system: RecoverySystem, name: string): number =>
  system.controls
    .journal()
    .filter((e) => e.kind === 'effect' && e.effect === 'move-begun' && e.vmId === system.vm(name)).length;

export const stopVm = (system: RecoverySystem, name: string): void => {
  const vm = system.spec.vms.find((v) => v.name === name)!;
  system.controls.shutDownGuest(vm.hostId, vm.id);
};

export const moveStatusOf = (run: WorkflowHandle): Promise<MoveStatus> => run.query(moveStatusQuery);

export const untilMovePhase = (run: WorkflowHandle, phase: MoveStatus['phase']): Promise<MoveStatus> =>
  eventually(`phase ${phase} of the move`, async () => {
    const status = await moveStatusOf(run);
    return status.phase === phase && status;
  });

export const incidentOfVm = (system: RecoverySystem, name: string, epoch = 1): IncidentId =>
  incidentId({ kind: 'vm', vmId: system.vm(name) }, epoch);
