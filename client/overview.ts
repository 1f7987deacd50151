/** How an installation stands at this moment: what `vmedic status` and the API's `/v1/status` both show. */
import { effectiveMode } from '../domain/armed';
import type { Fleet } from '../domain/fleet';
import type { VmRecord } from '../domain/records';
import type { DeliveriesPort, InventoryPort } from '../activities/ports';
import type { TemporalSession } from './temporal';
import { queuesWithoutWorker, runsNow, troublesOf, workUnderWay } from './troubles';
import { clustersUnwatched } from './watches';

type Read = Pick<
  InventoryPort,
  'hosts' | 'vms' | 'incidents' | 'alerts' | 'switches' | 'fleetClaim' | 'readiness'
> &
  Pick<DeliveriesPort, 'owedDeliveries'>;

/** Reads everything at once and judges it by one set of rules, so that no two screens tell two truths. */
export async function readOverview(from: {
  readonly fleet: Fleet;
  readonly inventory: Read;
  readonly temporal: () => Promise<Pick<TemporalSession, 'client' | 'settings'>>;
  readonly taskQueue?: string | undefined;
}) {
  const { fleet, inventory, taskQueue } = from;
  const [hosts, vms, open, alerts, switches, claim, owed, [unpolled, unwatched], checks] = await Promise.all([
    inventory.hosts(),
    inventory.vms(),
    inventory.incidents({ open: true }),
    inventory.alerts({ open: true }),
    inventory.switches(),
    inventory.fleetClaim(),
    inventory.owedDeliveries(),
    from
      .temporal()
      .then((temporal) =>
        Promise.all([queuesWithoutWorker(temporal, taskQueue), clustersUnwatched(temporal.client, fleet)]),
      ),
    Promise.all(fleet.clusters.map((c) => inventory.readiness(c.id))),
  ]);
  const watched = vms.filter((v) => v.protected && v.desired === 'running');
  // What was seen last on a host that an incident works on is not what is there now.
  const inTrouble = open.flatMap((i) => (i.target.kind === 'host' ? [i.target.hostId] : []));
  const running: readonly VmRecord[] = watched.filter(
    (v) => runsNow(v, hosts) && !inTrouble.includes(v.hostId),
  );
  const clusters = fleet.clusters.map((c) => {
    const own = hosts.filter((h) => h.clusterId === c.id);
    const { mode, why } = effectiveMode(c, own, claim, switches);
    const maintenance = own.filter((h) => h.standing === 'maintenance').map((h) => h.hostId);
    return { id: c.id, mode: c.mode, now: mode, why, maintenance };
  });
  const troubles = troublesOf({
    ...{ fleet, hosts, vms, open, alerts, unpolled, switches, owed, checks },
    // Without a worker nobody can watch: that is said once.
    unwatched: unpolled.length === 0 ? unwatched : [],
  });
  return { troubles, underWay: workUnderWay(open), clusters, vms, watched, running };
}
