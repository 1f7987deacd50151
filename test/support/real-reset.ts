/** Puts a lab and its record back to where every VM runs at home: between two tests, by the shortest way, with no word to VMedic. */
import type { OpenInventory } from '../../drivers/postgres';
import { fenceDeviceId, hostId, vmId } from '../../domain/ids';
import { DriverFault } from '../../domain/faults';
import type { LabHost } from '../../lab/host/lab-host';
import { inParallel } from '../../lab/in-parallel';
import type { Lab } from '../../lab/lab';

export async function resetLab(lab: Lab): Promise<void> {
  await Promise.all(lab.hosts.map((host) => whole(lab, host)));
  const running = new Map<string, readonly string[]>();
  for (const host of lab.hosts) running.set(host.id, await atHomeOnly(lab, host));
  const down = lab.vms.filter((vm) => !running.get(vm.home.id)?.includes(vm.name));
  await inParallel(down, 3, async (vm) => {
    const printed = vm.printed().length;
    if (!vm.entry.transient) await vm.define();
    await vm.start();
    await vm.beatsBeyond(printed, 60_000);
  });
}

async function whole(lab: Lab, host: LabHost): Promise<void> {
  for (const kind of ['ipmi', 'redfish'] as const) await lab.setBmcFaults(host.id, kind, []);
  const state = await host.state();
  if (state === 'frozen') await host.thaw();
  if (state === 'off') await host.powerOn();
  else if ((await host.virsh(['uri'], 10_000)).code !== 0) await host.startLibvirtd();
}

/** Ends and forgets whatever belongs elsewhere. @returns what runs here. */
async function atHomeOnly(lab: Lab, host: LabHost): Promise<readonly string[]> {
  const names = (text: string): string[] => text.split('\n').filter((name) => name !== '');
  const strange = (name: string): boolean => lab.vm(name).home !== host;
  for (const name of names(await host.virshOrThrow(['list', '--name'])).filter(strange))
    await host.virshOrThrow(['destroy', name]);
  for (const name of names(await host.virshOrThrow(['list', '--all', '--name'])).filter(strange))
    await host.virshOrThrow(['undefine', name]);
  return names(await host.virshOrThrow(['list', '--name']));
}

export async function resetInventory(inventory: OpenInventory, lab: Lab): Promise<void> {
  const now = new Date().toISOString();
  for (const host of lab.hosts) {
    const id = hostId(host.id);
    await inventory.lapseEvidence(id, now);
    const devices = [`${host.id}-ipmi`, `${host.id}-redfish`].map(fenceDeviceId);
    await inventory.forgetLoginRefusals(devices);
    const bootId = await host.bootId();
    await settled(async () => {
      const record = await inventory.host(id);
      if (record !== undefined)
        await inventory.updateHost(id, record.version, { standing: 'in-service', bootId });
    });
  }
  for (const { vmId: vm, incidentId } of await inventory.reservations())
    await inventory.releaseReservation(vm, incidentId);
  for (const { uuid, home } of lab.vms) await recordAtHome(inventory, uuid, home.id);
}

async function recordAtHome(inventory: OpenInventory, uuid: string, home: string): Promise<void> {
  const [vm, host] = [vmId(uuid), hostId(home)];
  const at = new Date().toISOString();
  const observed = { state: 'running', reason: 'reset', at } as const;
  await settled(async () => {
    const record = await inventory.vm(vm);
    if (record !== undefined)
      await inventory.updateVm(vm, record.version, { hostId: host, desired: 'running', observed });
  });
  if ((await inventory.vm(vm)) === undefined) return;
  for (const sighting of await inventory.sightings([vm]))
    if (sighting.hostId !== host) await inventory.removeSighting(vm, sighting.hostId);
  await inventory.recordSighting(vm, host, at);
}

/** The watch writes the same rows. */
async function settled(write: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof DriverFault) || error.fault.code !== 'RECORD_CHANGED') throw error;
    }
  }
}
