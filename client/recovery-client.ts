/** What can be asked of VMedic: each names the workflow ID that it needs and the input of the run; `starts.ts` does the rest. */
import { type VmId, workflowIds } from '../domain/ids';
import { looseKey, looseName } from '../domain/volume-move';
import type {
  FenceHostInput,
  MigrateVolumeInput,
  ReadmitHostInput,
  RecoverHostInput,
  RepairGuestInput,
  RestartVmInput,
} from '../workflows/inputs';
import type { Request, StartAnswer } from './answers';
import { knownDisk, knownFile, knownHost, knownPool, knownVm } from './known';
import { type FrontDoor, Starts } from './starts';

export class RecoveryClient {
  private readonly starts: Starts;

  constructor(private readonly door: FrontDoor) {
    this.starts = new Starts(door);
  }

  /** Recovers a host that failed: confirm, fence, release its locks, start its VMs elsewhere. Idempotent per incident. */
  async recoverHost(host: string, request: Request): Promise<StartAnswer> {
    const { id, cluster } = knownHost(this.door.fleet, host);
    return this.starts.begin({
      type: 'recoverHost',
      target: { kind: 'host', hostId: id },
      name: id,
      clusterId: cluster,
      workflowId: workflowIds.host(id),
      request,
      input: (incident, epoch, trigger): RecoverHostInput => ({
        hostId: id,
        clusterId: cluster,
        incidentId: incident,
        epoch,
        mode: modeOf(request),
        trigger,
        ...approvalOf(request),
      }),
    });
  }

  /** Switches a host off and proves it, whether it lives or not; nothing is started elsewhere. */
  async fenceHost(host: string, request: Request): Promise<StartAnswer> {
    const { id, cluster } = knownHost(this.door.fleet, host);
    return this.starts.begin({
      type: 'fenceHost',
      target: { kind: 'host', hostId: id },
      name: id,
      clusterId: cluster,
      workflowId: workflowIds.fence(id),
      request,
      input: (incident, epoch, trigger): FenceHostInput => ({
        hostId: id,
        clusterId: cluster,
        incidentId: incident,
        epoch,
        mode: modeOf(request),
        trigger,
        evenIf: 'alive',
        brief: undefined,
      }),
    });
  }

  /** Lets a host that came back take VMs again, once it is clean: stale definitions gone, autostart off. */
  async readmitHost(host: string, request: Request): Promise<StartAnswer> {
    const { id, cluster } = knownHost(this.door.fleet, host);
    return this.starts.begin({
      type: 'readmitHost',
      target: { kind: 'host', hostId: id },
      name: id,
      clusterId: cluster,
      workflowId: workflowIds.host(id),
      request,
      input: (incident, epoch, trigger): ReadmitHostInput => ({
        hostId: id,
        clusterId: cluster,
        incidentId: incident,
        epoch,
        mode: modeOf(request),
        trigger,
      }),
    });
  }

  /** Starts one VM, by its name or UUID, wherever it may run now. */
  async restartVm(vm: string, request: Request, target?: string): Promise<StartAnswer> {
    const record = await knownVm(this.door.inventory, vm);
    const wantedHost = target === undefined ? undefined : knownHost(this.door.fleet, target).id;
    return this.starts.begin({
      type: 'restartVm',
      target: { kind: 'vm', vmId: record.vmId },
      name: record.name,
      clusterId: record.clusterId,
      workflowId: workflowIds.vm(record.vmId),
      request,
      input: (incident, epoch, trigger): RestartVmInput => ({
        vmId: record.vmId,
        name: record.name,
        clusterId: record.clusterId,
        incidentId: incident,
        mode: modeOf(request),
        cause: 'operator',
        trigger,
        incidentBeganAt: undefined,
        epoch,
        failed: undefined,
        target: wantedHost,
      }),
    });
  }

  /** Works on the file systems of a guest that does not get well: stopped, kept as they are, mended, started; back if that did not help. */
  async repairGuest(vm: string, request: Request): Promise<StartAnswer> {
    const { vmId, name, clusterId } = await knownVm(this.door.inventory, vm);
    return this.starts.begin({
      type: 'repairGuest',
      target: { kind: 'vm', vmId },
      ...{ name, clusterId, request },
      workflowId: workflowIds.vm(vmId),
      input: (incident, epoch, trigger): RepairGuestInput => ({
        ...{ vmId, name, clusterId, incidentId: incident, epoch, trigger },
        ...{ mode: modeOf(request), cause: 'operator' },
        ...{ incidentBeganAt: undefined, failed: undefined, target: undefined },
      }),
    });
  }

  /** Starts a VM that stopped on a host that lives: after a grace, once it is proven to run nowhere, within its budget. */
  async restartMissingVm(id: VmId, request: Request, graceMs: number): Promise<StartAnswer> {
    const [record] = await this.door.inventory.vms({ ids: [id] });
    if (record === undefined) return this.restartVm(id, request);
    return this.starts.begin({
      type: 'restartVm',
      target: { kind: 'vm', vmId: id },
      name: record.name,
      clusterId: record.clusterId,
      workflowId: workflowIds.vm(id),
      request,
      input: (incident, epoch, trigger): RestartVmInput => ({
        vmId: id,
        name: record.name,
        clusterId: record.clusterId,
        incidentId: incident,
        mode: modeOf(request),
        cause: 'missing',
        graceMs,
        ...approvalOf(request),
        trigger,
        incidentBeganAt: undefined,
        epoch,
        failed: undefined,
        target: undefined,
      }),
    });
  }

  /** Moves disks of a VM to another declared pool, all or none; refused while the VM is recovered, and the other way round. */
  async migrateVolume(
    vm: string,
    disk: string | readonly string[],
    to: string,
    request: Request,
  ): Promise<StartAnswer> {
    const record = await knownVm(this.door.inventory, vm);
    const keys = [...new Set([disk].flat().map((d) => knownDisk(record, d)))];
    const pool = knownPool(this.door.fleet, to);
    return this.starts.begin({
      type: 'migrateVolume',
      target: { kind: 'vm', vmId: record.vmId },
      name: record.name,
      clusterId: record.clusterId,
      workflowId: workflowIds.vm(record.vmId),
      request,
      order: `${keys.join(', ')} -> ${pool}`,
      input: (incident, epoch, trigger): MigrateVolumeInput => ({
        vmId: record.vmId,
        name: record.name,
        clusterId: record.clusterId,
        hostId: record.hostId,
        incidentId: incident,
        epoch,
        mode: modeOf(request),
        trigger,
        disks: keys.map((key) => ({ disk: key, to: pool })),
      }),
    });
  }

  /** Moves a disk that belongs to no VM: a file or logical volume of a declared pool. Refused while any VM names it, or anybody cannot be asked. */
  async moveFile(file: string, to: string, request: Request, host?: string): Promise<StartAnswer> {
    const pool = knownPool(this.door.fleet, to);
    const { id, path, ...at } = await knownFile(this.door.fleet, this.door.inventory, file, pool, host);
    return this.starts.begin({
      type: 'migrateVolume',
      target: { kind: 'disk', diskId: id },
      name: looseName(path),
      clusterId: at.cluster,
      workflowId: workflowIds.disk(id),
      request,
      order: `${path} -> ${pool}`,
      input: (incident, epoch, trigger): MigrateVolumeInput => ({
        vmId: undefined,
        loose: { diskId: id, path },
        name: looseName(path),
        clusterId: at.cluster,
        hostId: at.host,
        incidentId: incident,
        epoch,
        mode: modeOf(request),
        trigger,
        disks: [{ disk: looseKey(path), to: pool }],
      }),
    });
  }
}

const modeOf = (request: Request): RecoverHostInput['mode'] =>
  request.rehearse === true ? 'rehearse' : 'act';

const approvalOf = (request: Request): { needsApproval?: true } =>
  request.needsApproval === true ? { needsApproval: true } : {};
