/** The checker of one rule: a VM that is down is worked on, or somebody is told why not. */
import type { VmId } from '../../domain/ids';
import type { VmRecord } from '../../domain/records';
import type { RecoverySystem } from '../support/recovery-system';

/** Much longer than a watch takes for two looks and its graces, on a machine that does much else. */
const silenceMsMax = 15_000;

export class Unexplained {
  readonly found: string[] = [];
  private readonly sinceMs = new Map<VmId, number>();

  constructor(
    private readonly system: Pick<RecoverySystem, 'inventory' | 'spec' | 'fleet'>,
    private readonly running: () => ReadonlySet<VmId>,
    private readonly msMax = silenceMsMax,
  ) {}

  /** To be called again and again. */
  async look(): Promise<void> {
    const said = await this.whatIsSaid();
    const running = this.running();
    for (const { id, name } of this.system.spec.vms) {
      const { record, isSaid } = said(id);
      const now = Date.now();
      if (isSaid || running.has(id)) this.sinceMs.delete(id);
      else if (!this.sinceMs.has(id)) this.sinceMs.set(id, now);
      const forMs = now - (this.sinceMs.get(id) ?? Number.POSITIVE_INFINITY);
      if (forMs < this.msMax || this.found.some((f) => f.startsWith(`${name} `))) continue;
      const { state, reason } = record?.observed ?? { state: 'not known', reason: '' };
      const where = `${state} (${reason}) on ${record?.hostId ?? 'no host'}`;
      this.found.push(`${name} is to be ${record?.desired ?? '?'}, is ${where}, and nothing says why`);
    }
  }

  private async whatIsSaid(): Promise<(id: VmId) => { record: VmRecord | undefined; isSaid: boolean }> {
    const { inventory, fleet } = this.system;
    const open = await inventory.incidents({ open: true });
    const [hosts, vms] = await Promise.all([inventory.hosts(), inventory.vms()]);
    // Last: what an incident that has closed meanwhile had to say is told by then.
    const keys = (await inventory.alerts({ open: true })).map((a) => a.key);
    const ofAll = fleet.clusters.some((c) =>
      keys.some((k) => [`blind:${c.id}`, `watch-ended:${c.id}`].includes(k)),
    );
    return (id) => {
      const record = vms.find((v) => v.vmId === id);
      const host = record?.hostId;
      const isSaid =
        ofAll ||
        open.some(
          ({ target: t }) => (t.kind === 'vm' && t.vmId === id) || (t.kind === 'host' && t.hostId === host),
        ) ||
        keys.some((k) => k.includes(id) || k === `watch-fails:${host}` || k === `observed:host:${host}`) ||
        hosts.some((h) => h.hostId === host && h.standing !== 'in-service');
      return { record, isSaid };
    };
  }
}
