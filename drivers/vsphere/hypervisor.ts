/**
 * The hypervisor port on vSphere. A VM has one registration in a vCenter, on one host; "to define it on another host" is to register it
 * there, and its files are its definition.
 *
 * INVARIANTS:
 * - A registration is taken away from another host only when vCenter cannot reach that host and the VM is to come elsewhere.
 * - PowerOnVM_Task is sent once, after the permit was asked for its freshness. Whatever comes back, the VM's power is read.
 * - Of the questions that a VM can ask, only "moved or copied?" is answered, and with "moved": a copy would get another identity.
 * - Where vSphere HA restarts the VMs of a cluster, nothing is registered or started there.
 */
import type { ActOutcome, HypervisorPort, ReadDefinition } from '../../activities/ports';
import { permitIsFresh, type ResumePermit, type StartPermit } from '../../domain/evidence';
import { DriverFault, type Fault, fault } from '../../domain/faults';
import type { HostId, VmId } from '../../domain/ids';
import { invariant } from '../../domain/invariant';
import type { HostVmList } from '../../domain/observations';
import type { StoredDefinition } from '../../domain/records';
import { outcomeOfFailure } from './act-outcomes';
import { autostarted, entryOf, takeOffAutostart } from './autostart';
import { hostPath } from './datastores';
import { parseDefinition, readDefinition } from './definitions';
import {
  connectedHost,
  haCluster,
  type HostSignOf,
  type HostView,
  listVms,
  probeHost,
  readingHost,
  viewOf,
} from './host-views';
import { powerOn } from './power-on';
import { registerAt, unregister } from './registration';
import { findVm, readVm, type VimVm, vmOf, vmProperties } from './virtual-machines';
import type { Vcenter, Vcenters } from './vcenter';

const ok: ActOutcome = { kind: 'ok' };
const refused = (why: Fault): ActOutcome => ({ kind: 'refused', fault: why });

/** Where the VM is registered now. */
interface Registration {
  readonly vm: VimVm;
  readonly on: HostId | undefined;
  readonly reachable: boolean;
}

export class VsphereHypervisor implements HypervisorPort {
  constructor(private readonly vcenters: Vcenters) {}

  probe(host: HostId, signal: AbortSignal): Promise<HostSignOf> {
    return probeHost(this.vcenters.of(host), host, signal);
  }

  list(host: HostId, signal: AbortSignal): Promise<HostVmList> {
    const vcenter = this.vcenters.of(host);
    return readingHost(host, vcenter, signal, () => listVms(vcenter, host, signal));
  }

  definitions(
    host: HostId,
    vms: readonly VmId[] | undefined,
    signal: AbortSignal,
  ): Promise<ReadDefinition[]> {
    const vcenter = this.vcenters.of(host);
    return readingHost(host, vcenter, signal, async () => {
      const view = await connectedHost(vcenter, host, signal);
      const read = await vcenter.session.behind(view.ref, 'vm', 'VirtualMachine', vmProperties, { signal });
      // One that its host cannot read has no definition to give; the list tells that it is there.
      const whole = read.filter((o) => o.properties.has('config.instanceUuid'));
      const { entries } = await autostarted(vcenter, view.ref, signal);
      const found = whole.flatMap(
        (o) =>
          readDefinition(vcenter, vmOf(o.ref, o.properties), entryOf(entries, o.ref) !== undefined) ?? [],
      );
      return vms === undefined ? found : found.filter((d) => vms.includes(d.vmId));
    });
  }

  async define(host: HostId, definition: StoredDefinition, signal: AbortSignal): Promise<ActOutcome> {
    const vcenter = this.vcenters.of(host);
    const parsed = parseDefinition(definition.text);
    if (parsed?.instanceUuid !== definition.vmId)
      return refused(
        fault('DEFINE_REFUSED', {
          host,
          vm: definition.vmId,
          detail: 'what is stored of it is no definition of a vSphere VM',
        }),
      );
    return this.acting(vcenter, host, signal, async (view) => {
      const at = await this.registration(vcenter, definition.vmId, signal);
      if (at?.on === host) return ok;
      const ha = await this.haInCharge(vcenter, view, host, parsed.name, signal);
      if (ha !== undefined) return ha;
      if (at?.reachable === true && at.vm.power !== 'poweredOff') {
        const detail = `it is ${at.vm.power} on ${at.on ?? 'another host'}, which answers`;
        return refused(fault('DEFINE_REFUSED', { host, vm: parsed.name, detail }));
      }
      return registerAt(vcenter, { host, view, definition: parsed, was: at?.vm }, signal);
    });
  }

  async start(
    permit: StartPermit,
    definition: StoredDefinition,
    _persistent: boolean,
    signal: AbortSignal,
  ): Promise<ActOutcome> {
    invariant(permit.vmId === definition.vmId, 'the permit and the definition are about the same VM');
    const host = permit.target;
    const vcenter = this.vcenters.of(host);
    const name = parseDefinition(definition.text)?.name ?? definition.vmId;
    return this.acting(vcenter, host, signal, async (view) => {
      const at = await this.registration(vcenter, permit.vmId, signal);
      if (at?.on === host && at.vm.power === 'poweredOn' && at.reachable) return ok;
      const ha = await this.haInCharge(vcenter, view, host, name, signal);
      if (ha !== undefined) return ha;
      const hindered = hindrance(at, host, name);
      if (hindered !== undefined) return hindered;
      if (at?.on !== host) {
        // Its host is dead by the permit's account, and what was defined while it lived could not be.
        const defined = await this.define(host, definition, signal);
        if (defined.kind !== 'ok') return defined;
      }
      const registered = await this.registration(vcenter, permit.vmId, signal);
      if (registered?.on !== host)
        return refused(
          fault('START_REFUSED', { host, vm: name, detail: 'it was registered there and is not' }),
        );
      if (!permitIsFresh(permit, Date.now()))
        return refused(
          fault('PERMIT_REFUSED', { host, vm: name, detail: 'its permit has aged: ask for a new one' }),
        );
      return powerOn(vcenter, { host, view, vm: registered.vm }, signal);
    });
  }

  async undefine(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome> {
    const vcenter = this.vcenters.of(host);
    return this.acting(vcenter, host, signal, async () => {
      const at = await this.registration(vcenter, vm, signal);
      if (at?.on !== host) return ok;
      if (at.vm.power !== 'poweredOff')
        return refused(
          fault('UNDEFINE_REFUSED', { host, vm: at.vm.name, detail: `it is ${at.vm.power} there` }),
        );
      return unregister(vcenter, host, at.vm, signal);
    });
  }

  async resume(permit: ResumePermit): Promise<ActOutcome> {
    return Promise.resolve(neverPaused(permit.target, permit.vmId));
  }

  async endPaused(host: HostId, vm: VmId): Promise<ActOutcome> {
    return Promise.resolve(neverPaused(host, vm));
  }

  async shutDown(host: HostId, vm: VmId): Promise<ActOutcome> {
    const detail = 'guests of vSphere are shut down in vCenter';
    return Promise.resolve(refused(fault('SHUT_DOWN_REFUSED', { host, vm, detail })));
  }

  async end(host: HostId, vm: VmId): Promise<ActOutcome> {
    const detail = 'guests of vSphere are stopped in vCenter';
    return Promise.resolve(refused(fault('SHUT_DOWN_REFUSED', { host, vm, detail })));
  }

  async disableAutostart(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome> {
    const vcenter = this.vcenters.of(host);
    return this.acting(vcenter, host, signal, async (view) => {
      const at = await this.registration(vcenter, vm, signal);
      if (at?.on !== host) return ok;

      return takeOffAutostart(vcenter, { host, view, vm: at.vm }, signal);
    });
  }

  /** Undefined when no VM of that UUID is to be seen. */
  private async registration(
    vcenter: Vcenter,
    vm: VmId,
    signal: AbortSignal,
  ): Promise<Registration | undefined> {
    const ref = await findVm(vcenter.session, vm, { signal });
    if (ref === undefined) return undefined;
    const read = await readVm(vcenter.session, ref, { signal });
    const on = await vcenter.hostIdOf(read.host, { signal });
    const link = on === undefined ? undefined : (await viewOf(vcenter, on, signal)).link;
    return { vm: read, on, reachable: link === undefined || link === 'connected' };
  }

  private async haInCharge(
    vcenter: Vcenter,
    view: HostView,
    host: HostId,
    vm: string,
    signal: AbortSignal,
  ): Promise<ActOutcome | undefined> {
    const cluster = await haCluster(vcenter, view.ref, signal);
    return cluster === undefined ? undefined : refused(fault('VSPHERE_HA_IN_CHARGE', { host, vm, cluster }));
  }

  /** Runs an act on a host that vCenter reaches; what kept it from being sent is an outcome. */
  private async acting(
    vcenter: Vcenter,
    host: HostId,
    signal: AbortSignal,
    work: (view: HostView) => Promise<ActOutcome>,
  ): Promise<ActOutcome> {
    let view: HostView;
    try {
      view = await readingHost(host, vcenter, signal, () => connectedHost(vcenter, host, signal));
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
    try {
      return await vcenter.inTurn('act', signal, () => work(view));
    } catch (error) {
      return outcomeOfFailure(error, vcenter);
    }
  }
}

/** A VM whose disk fails asks a question in vCenter and stands still until a person answers it; one that is suspended is off. */
const neverPaused = (host: HostId, vm: VmId): ActOutcome =>
  refused(
    fault('PAUSED_VM_REFUSED', {
      host,
      vm,
      detail: 'vSphere keeps no VM paused; see its question in vCenter',
    }),
  );

/** What stands in the way of a start before anything is done for it. */
function hindrance(at: Registration | undefined, host: HostId, name: string): ActOutcome | undefined {
  if (at === undefined) return undefined;
  const { vm, on, reachable } = at;
  const refuse = (detail: string): ActOutcome => refused(fault('START_REFUSED', { host, vm: name, detail }));
  if (on === host) return vm.power === 'poweredOff' ? undefined : refuse(`it is ${vm.power} there already`);
  if (!reachable) return undefined;
  if (vm.power === 'poweredOff')
    return refuse(`it is registered on ${on ?? 'another host'}, and not defined here`);
  const path = hostPath(vm.disks[0]?.file ?? '');
  return refused(
    fault('LOCK_HELD', { vm: name, host, path, holder: `${on ?? 'another host'} (says "${vm.power}")` }),
  );
}
