/**
 * What a person changes by hand, outside any incident: the arm switch, which VMs are protected, which hosts are in maintenance. Written straight
 * into the inventory, so that disarming works while Temporal does not; each in the audit trail before it is done.
 */
import { hostname } from 'node:os';
import type { FrontDoorPort, InventoryPort } from '../activities/ports';
import type { AuditRecord } from '../domain/access';
import { DriverFault } from '../domain/faults';
import type { Fleet } from '../domain/fleet';
import type { ClusterId, HostId } from '../domain/ids';
import type { ArmSwitch, HostStanding, VmRecord } from '../domain/records';
import { Refusal } from './errors';

export type AdministrationRows = Pick<
  InventoryPort,
  'host' | 'updateHost' | 'vm' | 'updateVm' | 'incidents' | 'setSwitch'
> &
  Pick<FrontDoorPort, 'noteAudit' | 'noteAuditAnswer'>;

/** Who, why, and by which way in. */
export interface ByHand {
  readonly by: string;
  readonly reason: string;
  readonly via: AuditRecord['via'];
  readonly origin?: string;
  readonly requestId?: string;
}

export class Administration {
  constructor(
    private readonly rows: AdministrationRows,
    private readonly fleet: Fleet,
  ) {}

  /** Stops, or allows again, every new act: of the fleet, or of one cluster. Idempotent. */
  async setArmed(scope: 'fleet' | ClusterId, armed: boolean, who: ByHand): Promise<ArmSwitch> {
    if (scope !== 'fleet') this.knownCluster(scope);
    return this.audited(armed ? 'arm' : 'disarm', scope, who, async () => {
      const to: ArmSwitch = { scope, armed, by: who.by, reason: who.reason, at: new Date().toISOString() };
      await this.rows.setSwitch(to);
      return to;
    });
  }

  /** A VM that is not protected is neither recovered nor missed: planned work on it is nobody's failure. */
  async setProtected(vm: VmRecord, protect: boolean, who: ByHand): Promise<void> {
    await this.audited(protect ? 'protect' : 'unprotect', vm.vmId, who, () =>
      untilWritten(async () => {
        const now = await this.rows.vm(vm.vmId);
        if (now === undefined) throw new DriverFault('UNKNOWN_VM', { vm: vm.name });
        await this.rows.updateVm(vm.vmId, now.version, { protected: protect });
      }),
    );
  }

  /**
   * @throws Refusal `HOST_NOT_FREE` when the host stands otherwise than in service (to begin) or in maintenance (to end), or an incident of
   * it is open.
   */
  async setMaintenance(host: HostId, begin: boolean, who: ByHand): Promise<HostStanding> {
    const to: HostStanding = begin ? 'maintenance' : 'in-service';
    const from: HostStanding = begin ? 'in-service' : 'maintenance';
    await this.audited(begin ? 'begin-maintenance' : 'end-maintenance', host, who, () =>
      untilWritten(async () => {
        const now = await this.rows.host(host);
        if (now?.standing === to) return;
        const [open] = await this.rows.incidents({ hostId: host, open: true, limit: 1 });
        if (open !== undefined)
          throw notFree(
            host,
            `incident ${open.incidentId} is open`,
            `vmedic incident show ${open.incidentId}`,
          );
        if (now?.standing !== from)
          throw notFree(host, `it is ${now?.standing ?? 'not seen yet'}`, nextFor(host, now?.standing));
        // Whatever was done to it, its next boot id is the one to know it by.
        await this.rows.updateHost(host, now.version, { standing: to, ...(!begin && { bootId: undefined }) });
      }),
    );
    return to;
  }

  private knownCluster(id: ClusterId): void {
    const known = this.fleet.clusters.map((c) => c.id);
    if (!known.includes(id))
      throw new Refusal(
        'usage',
        'UNKNOWN_CLUSTER',
        `There is no cluster ${id} in the config; known: ${known.join(', ')}`,
        'vmedic status',
      );
  }

  private async audited<T>(action: string, target: string, who: ByHand, act: () => Promise<T>): Promise<T> {
    const { by, reason, via, origin = hostname(), requestId } = who;
    const at = new Date().toISOString();
    const entry = { at, who: by, via, origin, action, target, reason, answer: 'asked', requestId };
    const id = await this.rows.noteAudit(entry);
    try {
      const result = await act();
      await this.rows.noteAuditAnswer(id, 'done');
      return result;
    } catch (error) {
      await this.rows.noteAuditAnswer(id, error instanceof Refusal ? `refused: ${error.code}` : 'failed');
      throw error;
    }
  }
}

/** The watch and incidents write the same rows: what was changed meanwhile is read again. */
async function untilWritten(write: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof DriverFault) || error.fault.code !== 'RECORD_CHANGED') throw error;
    }
  }
}

const notFree = (host: HostId, why: string, next: string): Refusal =>
  new Refusal('refused', 'HOST_NOT_FREE', `Maintenance of ${host} cannot be changed now: ${why}`, next);

const nextFor = (host: HostId, standing: HostStanding | undefined): string =>
  standing === 'fenced' || standing === 'quarantined'
    ? `vmedic host readmit ${host} --reason "..."`
    : `vmedic host show ${host}`;
