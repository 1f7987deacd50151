/** One ESXi host as vCenter has it. What vCenter says of a host that does not answer it is old, and so is no list. */
import { DriverFault } from '../../domain/faults';
import { type HostId, isId, vmId } from '../../domain/ids';
import type { HostSign, HostVmList, ObservedVm } from '../../domain/observations';
import { asDriverFault } from './driver-faults';
import type { Vcenter } from './vcenter';
import { type MoRef, refOf, textAt, textOf, unescaped } from './xml';

export type HostSignOf = Extract<HostSign, { source: 'hypervisor' }>;
export type HostLink = 'connected' | 'disconnected' | 'notResponding';

export interface HostView {
  readonly ref: MoRef;
  readonly link: HostLink;
  readonly inMaintenance: boolean;
  /** When it booted, by its own clock; undefined when vCenter does not know. */
  readonly bootTime: string | undefined;
}

export async function viewOf(vcenter: Vcenter, host: HostId, signal: AbortSignal): Promise<HostView> {
  const ref = await vcenter.hostRef(host, { signal });
  const runtime = (await vcenter.session.retrieveOne(ref, ['runtime'], { signal })).get('runtime');
  return {
    ref,
    link: textAt(runtime, 'connectionState') as HostLink,
    inMaintenance: textAt(runtime, 'inMaintenanceMode') === 'true',
    bootTime: textAt(runtime, 'bootTime'),
  };
}

/** Why there is no list, when it is vCenter that could not be asked or did not tell everything. */
export function listFault(host: HostId, error: DriverFault): DriverFault {
  const known = ['HYPERVISOR_UNREACHABLE', 'HYPERVISOR_BUSY', 'LIST_INCOMPLETE', 'UNKNOWN_HOST'];
  if (known.includes(error.fault.code)) return error;
  return new DriverFault('LIST_INCOMPLETE', { host, detail: error.fault.sentence }, { cause: error });
}

/** A read of one host, whose failures are those that the port names. */
export async function readingHost<T>(
  host: HostId,
  vcenter: Vcenter,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await vcenter.look(signal, work);
  } catch (error) {
    if (error instanceof DriverFault) throw listFault(host, error);
    throw error;
  }
}

/** @throws HYPERVISOR_UNREACHABLE for a host that vCenter cannot reach. */
export async function connectedHost(vcenter: Vcenter, host: HostId, signal: AbortSignal): Promise<HostView> {
  const view = await viewOf(vcenter, host, signal);
  if (view.link === 'connected') return view;
  throw new DriverFault('HYPERVISOR_UNREACHABLE', { host, detail: `vCenter calls it ${view.link}` });
}

const listPaths = [
  'name',
  'summary.config.instanceUuid',
  'summary.config.template',
  'runtime.powerState',
  'runtime.connectionState',
] as const;

export async function listVms(vcenter: Vcenter, host: HostId, signal: AbortSignal): Promise<HostVmList> {
  const view = await connectedHost(vcenter, host, signal);
  const observedAt = new Date().toISOString();
  const read = await vcenter.session.behind(view.ref, 'vm', 'VirtualMachine', listPaths, { signal });
  // Had it fallen silent meanwhile, some of what was read would be old.
  await connectedHost(vcenter, host, signal);
  const vms: ObservedVm[] = [];
  for (const { properties } of read) {
    const text = (path: (typeof listPaths)[number]): string => textOf(properties.get(path)) ?? '';
    if (text('summary.config.template') === 'true') continue;
    const uuid = text('summary.config.instanceUuid');
    const name = unescaped(text('name'));
    if (!isId(uuid))
      throw new DriverFault('LIST_INCOMPLETE', {
        host,
        detail: `vCenter does not tell the UUID of ${name}: it is ${text('runtime.connectionState')}`,
      });
    vms.push({
      ...{ vmId: vmId(uuid), name, persistent: true },
      ...stateOf(text('runtime.powerState'), text('runtime.connectionState')),
    });
  }
  return { hostId: host, observedAt, vms };
}

/** A suspended VM has no process, but its memory lies on disk: to start it elsewhere is no plain start. */
export function stateOf(power: string, connection: string): Pick<ObservedVm, 'state' | 'reason'> {
  if (connection !== 'connected') return { state: 'unknown', reason: connection };
  switch (power) {
    case 'poweredOn':
      return { state: 'running', reason: power };
    case 'poweredOff':
      return { state: 'shut-off', reason: power };
    case 'suspended':
      return { state: 'paused', reason: power };
    default:
      return { state: 'unknown', reason: power };
  }
}

/**
 * Throws only when vCenter itself could not be asked: taken for silence of its hosts, that would make all of them look dead at once.
 * `disconnected` is a person's doing, or the agent's; it says as little of the host as silence does.
 */
export async function probeHost(vcenter: Vcenter, host: HostId, signal: AbortSignal): Promise<HostSignOf> {
  const observedAt = new Date().toISOString();
  const silent: HostSignOf = { source: 'hypervisor', says: 'silent', observedAt };
  try {
    const seen = await readingHost(host, vcenter, signal, async () => {
      const view = await viewOf(vcenter, host, signal);
      if (view.link !== 'connected') return undefined;
      return vcenter.session.behind(view.ref, 'vm', 'VirtualMachine', ['runtime.powerState'], { signal });
    });
    if (seen === undefined) return silent;
    const runningVms = seen.filter(
      (v) => textOf(v.properties.get('runtime.powerState')) === 'poweredOn',
    ).length;
    return { source: 'hypervisor', says: 'answers', runningVms, observedAt };
  } catch (error) {
    if (signal.aborted) return silent;
    throw error;
  }
}

/** The cluster whose vSphere HA restarts this host's VMs by itself; undefined when none does. */
export async function haCluster(
  vcenter: Vcenter,
  host: MoRef,
  signal: AbortSignal,
): Promise<string | undefined> {
  return asDriverFault(vcenter.site, async () => {
    const parent = refOf((await vcenter.session.retrieveOne(host, ['parent'], { signal })).get('parent'));
    if (parent?.type !== 'ClusterComputeResource') return undefined;
    const read = await vcenter.session.retrieveOne(parent, ['name', 'configurationEx'], { signal });
    const enabled = textAt(read.get('configurationEx'), 'dasConfig', 'enabled') === 'true';
    return enabled ? unescaped(textOf(read.get('name')) ?? parent.value) : undefined;
  });
}
