import type { VmId } from '../../domain/ids';
import type { ProcessInterval } from '../../drivers/simulated';
import { type Checker, effects, type Facts, type Finding } from './facts';

const running = (facts: Facts, vm: VmId): ProcessInterval[] =>
  facts.world.processes.filter((p) => p.vmId === vm && p.state !== 'ended');

/** Every protected VM runs exactly once, where the record says, on the disks that the record names. */
export const recordIsReality: Checker = (facts) => {
  const found = (vm: string, what: string): Finding => ({
    checker: 'record = reality',
    sentence: `${vm} ${what}`,
    seq: undefined,
  });
  return facts.inventory.vms.flatMap((vm): Finding[] => {
    const stays = running(facts, vm.vmId);
    const [stay, ...more] = stays;
    if (more.length > 0) return [found(vm.name, `runs on ${stays.map((s) => s.hostId).join(' and ')}`)];
    if (stay === undefined) {
      if (!vm.protected || facts.excused?.[vm.vmId] !== undefined) return [];
      if (vm.desired === 'running') return [found(vm.name, 'is to run and does not')];
      return vm.observed.state === 'running' ? [found(vm.name, 'is recorded as running and does not')] : [];
    }
    const findings: Finding[] = [];
    if (stay.hostId !== vm.hostId)
      findings.push(found(vm.name, `is recorded on ${vm.hostId} and runs on ${stay.hostId}`));
    const recorded = vm.shape.disks.map((d) => d.path).sort();
    const real = [...stay.disks].sort();
    if (recorded.join() !== real.join())
      findings.push(found(vm.name, `is recorded on disk ${recorded.join()} and writes to ${real.join()}`));
    return findings;
  });
};

/** No room kept by a closed incident, no volume active for nobody, no definition where the VM is not, no host in service without its storage. */
export const nothingLeftBehind: Checker = (facts) => {
  const checker = 'nothing of ours left behind';
  const { world, inventory } = facts;
  const found = (sentence: string): Finding => ({ checker, sentence, seq: undefined });
  const stuck = (vm: VmId): boolean => facts.excused?.[vm] === 'stuck';

  const rooms = inventory.reservations
    .filter((r) => !stuck(r.vmId))
    .filter((r) => inventory.incidents.every((i) => i.incidentId !== r.incidentId || i.outcome !== undefined))
    .map((r) => found(`${r.incidentId} is over and keeps room for ${r.vmId} on ${r.hostId}`));

  const volumes = world.disks.flatMap((disk) =>
    disk.activeOn
      .filter((a) => a.by !== 'boot' && a.by !== 'hand')
      .filter(
        (a) =>
          !world.processes.some(
            (p) => p.state !== 'ended' && p.hostId === a.hostId && p.disks.includes(disk.path),
          ),
      )
      .map((a) => found(`${disk.path} is active on ${a.hostId} for ${a.by} and nobody uses it`)),
  );

  const inService = world.hosts.filter(
    (h) => h.power === 'on' && inventory.hosts.find((r) => r.hostId === h.id)?.standing === 'in-service',
  );
  const definitions = inService.flatMap((host) =>
    host.definitions.flatMap((definition): Finding[] => {
      const record = inventory.vms.find((v) => v.vmId === definition.vmId);
      if (record === undefined || stuck(record.vmId) || record.hostId === host.id) return [];
      return [found(`${host.id} has a definition of ${record.name}, which is recorded on ${record.hostId}`)];
    }),
  );
  const cut = world.accessCut
    .filter((c) => inService.some((h) => h.id === c.hostId))
    .map((c) => found(`${c.hostId} is in service and may not write to ${c.poolId}`));
  return [...rooms, ...volumes, ...definitions, ...cut];
};

/** One delivery per key and change of state, however often somebody tried. */
export const alertsOnce: Checker = (facts) => {
  const raised = new Set<string>();
  return effects(facts, 'alert-delivered').flatMap(({ alert, seq }): Finding[] => {
    const ends = alert.clearedAt !== undefined;
    const news = ends ? raised.delete(alert.key) : !raised.has(alert.key);
    if (!ends) raised.add(alert.key);
    if (news) return [];
    const what = ends ? 'cleared without being raised' : 'raised twice';
    return [{ checker: 'alerts once per key', sentence: `${alert.key} was ${what}`, seq }];
  });
};
