/**
 * The world after a recovery on real hosts: what `virsh` says on each host, what stands on the disks, and whether the record agrees. VMedic's
 * own word is never asked for, except to be compared.
 */
import type { InventoryPort } from '../../activities/ports';
import type { TimelineEntry } from '../../domain/records';
import type { Lab, VmVerdict } from '../../lab/lab';

export interface WorldFacts {
  /** Of hosts with power: what is defined and what runs there, by name. */
  readonly hosts: readonly {
    readonly id: string;
    readonly defined: readonly string[];
    readonly running: readonly string[];
  }[];
  readonly disks: readonly VmVerdict[];
  readonly records: readonly { readonly name: string; readonly hostId: string; readonly observed: string }[];
  readonly reservations: number;
  readonly openIncidents: readonly string[];
  readonly timelines: readonly { readonly incident: string; readonly entries: readonly TimelineEntry[] }[];
}

export interface Expectation {
  readonly home: Readonly<Record<string, string>>;
  /** Boots that each disk had seen before the test began. */
  readonly bootsBefore: Readonly<Record<string, number>>;
  /** VMs that were started again, each once; all others went on where they were. */
  readonly restarted: readonly string[];
  /** Hosts that came back and are not trusted yet: what was defined there before may still be. */
  readonly returned?: readonly string[];
  /** Host whose VMs come back on it, without having been switched off by anybody. */
  readonly onItself?: string;
}

type Inventory = Pick<InventoryPort, 'vms' | 'incidents' | 'reservations' | 'timeline'>;

/** @param known Incidents of earlier tests, whose timelines were judged then. */
export async function readWorld(
  lab: Lab,
  inventory: Inventory,
  known: ReadonlySet<string>,
): Promise<WorldFacts> {
  const powered = [];
  for (const host of lab.hosts) if ((await host.state()) === 'on') powered.push(host);
  const hosts = await Promise.all(
    powered.map(async (host) => ({
      id: host.id,
      defined: lines(await host.virshOrThrow(['list', '--all', '--name'], 20_000)),
      running: lines(await host.virshOrThrow(['list', '--name'], 20_000)),
    })),
  );
  const incidents = (await inventory.incidents()).filter((i) => !known.has(i.incidentId));
  const timelines = incidents.map(async ({ incidentId }) => ({
    incident: incidentId,
    entries: await inventory.timeline(incidentId),
  }));
  const vms = await inventory.vms();
  return {
    hosts,
    disks: await lab.judgeDisks(),
    records: vms.map(({ name, hostId, observed }) => ({ name, hostId, observed: observed.state })),
    reservations: (await inventory.reservations()).length,
    openIncidents: incidents.filter((i) => i.closedAt === undefined).map((i) => i.incidentId),
    timelines: await Promise.all(timelines),
  };
}

/** One line per promise that is not kept. Pure. */
export function brokenPromises(facts: WorldFacts, expected: Expectation): string[] {
  return [
    ...Object.keys(expected.home).flatMap((name) => whereItRuns(name, facts, expected)),
    ...onDisk(facts, expected),
    ...leftovers(facts, expected),
    ...facts.timelines.flatMap(({ incident, entries }) => orderOf(incident, entries, expected)),
  ];
}

function whereItRuns(name: string, { hosts, records }: WorldFacts, expected: Expectation): string[] {
  const runsOn = hosts.filter((h) => h.running.includes(name)).map((h) => h.id);
  const [only] = runsOn;
  if (only === undefined) return [`${name} runs nowhere`];
  if (runsOn.length > 1) return [`${name} runs on ${runsOn.join(' and ')}`];
  const wrong: string[] = [];
  const home = expected.home[name];
  if (!expected.restarted.includes(name) && only !== home)
    wrong.push(`${name} was on ${home}, which kept it, and runs on ${only}`);
  const record = records.find((r) => r.name === name);
  if (record?.hostId !== only) wrong.push(`${name} runs on ${only}, and the record says ${record?.hostId}`);
  if (record !== undefined && record.observed !== 'running')
    wrong.push(`${name} runs, and the record says ${record.observed}`);
  return wrong;
}

function onDisk({ disks }: WorldFacts, { bootsBefore, restarted }: Expectation): string[] {
  return disks.flatMap(({ name, verdict }) => {
    if (verdict.verdict === 'UNKNOWN') return [`the disk of ${name} cannot be judged: ${verdict.why}`];
    if (verdict.verdict === 'VIOLATION')
      return verdict.violations.map(
        ({ rule, seq, detail }) => `the disk of ${name}: ${rule} at ${seq}: ${detail}`,
      );
    const boots = verdict.runs.length - (bootsBefore[name] ?? 0);
    const right = restarted.includes(name) ? 1 : 0;
    return boots === right ? [] : [`${name} was booted ${boots} times and not ${right}`];
  });
}

function leftovers(
  { hosts, reservations, openIncidents }: WorldFacts,
  { returned = [] }: Expectation,
): string[] {
  const stale = hosts
    .filter((h) => !returned.includes(h.id))
    .flatMap((h) =>
      h.defined.filter((name) => !h.running.includes(name)).map((name) => `${name} on ${h.id}`),
    );
  return [
    ...stale.map((where) => `a definition is left of ${where}`),
    ...(reservations === 0 ? [] : [`${reservations} reservations are left`]),
    ...openIncidents.map((id) => `${id} is still open`),
  ];
}

/** No start before a proof that the old host is off. */
function orderOf(incident: string, entries: readonly TimelineEntry[], { onItself }: Expectation): string[] {
  if (!incident.startsWith('host-') || incident.startsWith(`host-${onItself ?? '?'}-`)) return [];
  const start = entries.findIndex((e) => e.kind === 'act' && 'permit' in e.facts);
  const proof = entries.findIndex(
    (e) => e.kind === 'evidence' || (e.kind === 'attestation' && 'evidence' in e.facts),
  );
  if (start < 0 || (proof >= 0 && proof < start)) return [];
  return [`${incident}: "${entries[start]?.sentence ?? ''}" stands before any proof`];
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
