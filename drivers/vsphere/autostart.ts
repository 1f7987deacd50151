/** The host's own list of VMs that it starts at boot. Under vSphere HA a host keeps none. */
import type { ActOutcome } from '../../activities/ports';
import { fault } from '../../domain/faults';
import { detailOf } from './driver-faults';
import { VimFault } from './errors';
import type { ToStart } from './power-on';
import type { Vcenter } from './vcenter';
import {
  child,
  children,
  group,
  leaf,
  type MoRef,
  numberAt,
  reference,
  refAt,
  refOf,
  textAt,
  type XmlNode,
} from './xml';

/** Refs of the VMs that the host starts at boot. */
export async function autostarted(
  vcenter: Vcenter,
  host: MoRef,
  signal: AbortSignal,
): Promise<{ manager: MoRef | undefined; entries: XmlNode[] }> {
  const { session } = vcenter;
  const manager = refOf(
    (await session.retrieveOne(host, ['configManager.autoStartManager'], { signal })).get(
      'configManager.autoStartManager',
    ),
  );
  if (manager === undefined) return { manager, entries: [] };
  const config = (await session.retrieveOne(manager, ['config'], { signal })).get('config');
  const entries = children(config, 'powerInfo').filter(
    (p) => textAt(p, 'startAction')?.toLowerCase() === 'poweron',
  );
  return { manager, entries };
}

export const entryOf = (entries: readonly XmlNode[], vm: MoRef): XmlNode | undefined =>
  entries.find((e) => refAt(e, 'key')?.value === vm.value);

export async function takeOffAutostart(
  vcenter: Vcenter,
  { host, view, vm }: ToStart,
  signal: AbortSignal,
): Promise<ActOutcome> {
  const { manager, entries } = await autostarted(vcenter, view.ref, signal);
  const entry = entryOf(entries, vm.ref);
  if (manager === undefined || entry === undefined) return { kind: 'ok' };
  const seconds = (name: string): number => numberAt(child(entry), name) ?? -1;
  const powerInfo = group('powerInfo', [
    reference('key', vm.ref),
    leaf('startOrder', -1),
    leaf('startDelay', seconds('startDelay')),
    leaf('waitForHeartbeat', textAt(entry, 'waitForHeartbeat') ?? 'systemDefault'),
    leaf('startAction', 'none'),
    leaf('stopDelay', seconds('stopDelay')),
    leaf('stopAction', textAt(entry, 'stopAction') ?? 'systemDefault'),
  ]);
  try {
    await vcenter.session.act('ReconfigureAutostart', manager, [group('spec', [powerInfo])], { signal });
  } catch (error) {
    if (!(error instanceof VimFault)) throw error;
    return {
      kind: 'refused',
      fault: fault('UNDEFINE_REFUSED', { host, vm: vm.name, detail: `vCenter says ${detailOf(error)}` }),
    };
  }
  const left = entryOf((await autostarted(vcenter, view.ref, signal)).entries, vm.ref);
  if (left === undefined) return { kind: 'ok' };
  return {
    kind: 'refused',
    fault: fault('UNDEFINE_REFUSED', { host, vm: vm.name, detail: 'its host still starts it at boot' }),
  };
}
