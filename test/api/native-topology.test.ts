/**
 * The topology of docker-compose.yml, run natively: PostgreSQL, Temporal on it, two workers and one API. In the middle of a recovery each of them
 * is killed once, without warning; nothing is lost.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { judgeReport } from '../../client/report';
import { makeToken } from '../../client/tokens';
import { ensureWatches } from '../../client/watches';
import { type HostId, hostId, incidentId } from '../../domain/ids';
import { openInventory, type OpenInventory } from '../../drivers/postgres';
import { sampleWorld, type WorldSnapshot } from '../../drivers/simulated';
import { builtCluster } from '../../lab/temporal/program';
import { waitFor } from '../../lab/wait-for';
import { fleetOf } from '../../workers/config';
import { simulatedConfig } from '../../workers/simulated-datacenter';
import { readInventoryRows } from '../checkers/facts';
import { asText, judge } from '../checkers/judge';
import { debianPostgres } from '../support/debian-postgres';
import {
  type NativeTopology,
  type Pager,
  parts,
  startNativeTopology,
  startPager,
} from '../support/native-topology';
import { describeIf } from '../support/optional';
import { simulatedElsewhere } from '../support/simulated-process';

const postgresBin = debianPostgres();
const temporalProgram = builtCluster();

/** Long enough that whoever is killed at the first order leaves all of them unfinished. */
const startMs = 700;
const spec = sampleWorld({
  ...{ hosts: 7, vmsPerHost: 3, mode: 'automatic', costs: { startMs, fenceMs: 50 }, storage: 'nfs' },
});

const up = ({ processes }: WorldSnapshot) => processes.filter((p) => p.state !== 'ended');

describeIf(
  postgresBin !== undefined && temporalProgram !== undefined,
  postgresBin === undefined
    ? "Debian's postgresql package is not installed"
    : "Temporal's server for PostgreSQL was not built: Go 1.26.4 is needed",
  'beyond-ci',
)('two workers and an API on PostgreSQL and Temporal, each a process of its own', () => {
  /** What was opened so far, the last one last. */
  const open: (() => unknown)[] = [];
  let world: Awaited<ReturnType<typeof simulatedElsewhere>>;
  let topology: NativeTopology;
  let inventory: OpenInventory;
  let pager: Pager;
  let token: string;

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vmn-'));
    open.push(() => rmSync(folder, { recursive: true, force: true }));
    process.env['TOPOLOGY_SECRET'] = `whsec_${Buffer.from('a pager').toString('base64')}`;
    world = await simulatedElsewhere(spec);
    open.push(() => world.end());
    pager = await startPager();
    open.push(() => pager.stop());
    const sample = simulatedConfig(spec, world.socket, folder);
    const config = {
      ...sample,
      // One host after another fails, and none is repaired meanwhile.
      clusters: sample.clusters.map((c) => ({ ...c, policy: { blastRadius: { percent: 100 } } })),
      notify: [{ driver: 'webhook', name: 'pager', url: pager.url, secret: 'env:TOPOLOGY_SECRET' }] as const,
    };
    topology = await startNativeTopology({
      ...{ folder, config: { ...config, notify: [...config.notify] } },
      ...{ postgresBin: postgresBin ?? '', temporalProgram: temporalProgram ?? '' },
    });
    open.push(() => topology.stop());
    inventory = openInventory({ url: topology.inventoryUrl });
    open.push(() => inventory.close());
    const made = makeToken({ name: 'monitor', role: 'operator', by: 'tester', expiresAt: undefined });
    await inventory.createToken(made.record);
    token = made.text;
    const connection = await Connection.connect({ address: topology.temporalAddress });
    await ensureWatches(new Client({ connection }), fleetOf(config as never));
    await connection.close();
    await waitFor(
      'all VMs to be known',
      60_000,
      async () => {
        const known = (await inventory.vms()).filter((v) => v.observed.state === 'running');
        return known.length === spec.vms.length;
      },
      topology.told,
    );
  }, 120_000);

  afterAll(async () => {
    delete process.env['TOPOLOGY_SECRET'];
    for (const close of open.reverse()) await close();
  }, 60_000);

  const api = (path: string, init: { method?: string; body?: string } = {}) =>
    fetch(`${topology.apiUrl}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    });

  const startsOrdered = async (from: number): Promise<boolean> =>
    (await world.connection.control.journal()).some(
      (e) => e.seq > from && e.kind === 'call' && e.port === 'hypervisor' && e.call === 'start',
    );

  /** What nobody may have lost: every VM of the host runs elsewhere, started once. */
  function judgeWorld(before: WorldSnapshot, after: WorldSnapshot, dead: HostId): void {
    for (const was of up(before)) {
      const runs = after.processes.filter((p) => p.vmId === was.vmId).length;
      const now = up(after).filter((p) => p.vmId === was.vmId);
      const earlier = before.processes.filter((p) => p.vmId === was.vmId).length;
      const moved = was.hostId === dead;
      expect([was.vmId, runs - earlier, now.map((p) => p.hostId === dead)]).toEqual([
        ...[was.vmId, moved ? 1 : 0, [false]],
      ]);
    }
  }

  it.each(parts.map((part, n) => ({ part, dead: hostId(spec.hosts[n]!.id) })))(
    'loses nothing when the $part is killed in the middle of a recovery',
    async ({ part, dead }) => {
      const { control } = world.connection;
      const before = await control.snapshot();
      const lost = up(before)
        .filter((p) => p.hostId === dead)
        .map((p) => p.vmId);
      expect(lost.length).toBeGreaterThanOrEqual(3);
      const from = (await control.journal()).at(-1)?.seq ?? 0;
      await control.cutPower(dead);
      const asked = await api(`/v1/hosts/${dead}/recover`, {
        method: 'POST',
        body: JSON.stringify({ reason: `power cut before the ${part} is killed` }),
      });
      expect([200, 202]).toContain(asked.status);
      await waitFor('the first start to be ordered', 30_000, () => startsOrdered(from), topology.told);
      const back = up(await control.snapshot()).filter((p) => lost.includes(p.vmId) && p.hostId !== dead);
      expect(back.length).toBeLessThan(lost.length);
      await topology.kill(part);
      const id = incidentId({ kind: 'host', hostId: dead }, 1);
      const ended = await waitFor(
        'the recovery to end',
        60_000,
        async () => {
          // The inventory may be the part that was killed: what it cannot say now it says later.
          const incident = await inventory.incident(id).catch(() => undefined);
          return incident?.outcome === undefined ? undefined : incident;
        },
        topology.told,
      );
      expect(ended.outcome).toBe('recovered');
      judgeWorld(before, await control.snapshot(), dead);
      const report = await (await api(`/v1/incidents/${id}/report`)).text();
      expect(judgeReport(report)).toMatchObject({ ok: true, problems: [], incidentId: id });
      for (const vm of lost)
        expect([vm, report.includes(vm) || report.includes(spec.vms.find((v) => v.id === vm)!.name)]).toEqual(
          [vm, true],
        );
    },
    120_000,
  );

  it('has told of each recovery once, and the laws were kept', async () => {
    const results = () =>
      pager.messages
        .map((m) => ({ id: m.id, ...(JSON.parse(m.body) as { type: string; data: { key: string } }) }))
        .filter((m) => m.type === 'alert.raised' && m.data.key.startsWith('host:'));
    await waitFor(
      'an alert for each host',
      30_000,
      () => new Set(results().map((m) => m.id)).size >= parts.length,
      topology.told,
    );
    const told = new Map(results().map((m) => [m.id, m.data.key]));
    const keys = parts.map((_, n) => {
      const dead = hostId(spec.hosts[n]!.id);
      return `host:${dead}:${incidentId({ kind: 'host', hostId: dead }, 1)}`;
    });
    // A receiver drops repeats by their id: one id for each alert, whoever sent it and however often.
    expect([...told.values()].sort()).toEqual(keys.sort());
    expect((await inventory.incidents()).length).toBe(parts.length);
    const journal = await world.connection.control.journal();
    const rows = await readInventoryRows(inventory, journal);
    expect(
      asText(judge({ world: await world.connection.control.snapshot(), journal, inventory: rows })),
    ).toEqual([]);
  });
});
