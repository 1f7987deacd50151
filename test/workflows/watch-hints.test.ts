/** Hints from hosts change when something is seen, and nothing of what becomes of it: none, all, every second one, twice, and false ones. */
import type { HintsPort, Ports } from '../../activities/ports';
import { judge } from '../support/judge';
import { quickPolicy, type RecoverySystem } from '../support/recovery-system';
import { actsOn, eventually, runsOn, systems } from '../support/story';

const begin = systems();
const everyMs = 1_600;
/** What had begun before the loss, and is less than the least pause after a hint. */
const underWayMs = 40;

type Follow = HintsPort['follow'];

const manners: Readonly<Record<string, (follow: Follow) => Follow>> = {
  'no hint': () => () => Promise.resolve(),
  'every hint': (follow) => follow,
  'every second hint': (follow) => (host, heard, signal) => {
    let count = 0;
    return follow(host, () => ((count += 1) % 2 === 1 ? heard() : undefined), signal);
  },
  'each hint twice, and false ones all the time': (follow) => (host, heard, signal) => {
    const timer = setInterval(heard, 20);
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    const twice = (): void => {
      heard();
      heard();
    };
    return follow(host, twice, signal);
  },
};

const listsOf = (system: RecoverySystem, letter: string): number[] =>
  system.controls
    .journal()
    .flatMap((e) =>
      e.kind === 'call' && e.call === 'list' && e.target === system.host(letter) ? [Date.parse(e.at)] : [],
    );

interface Became {
  readonly outcome: string | undefined;
  readonly acts: readonly string[];
  readonly runsOn: readonly string[];
  readonly incidents: number;
}

interface Told {
  readonly became: Became;
  /** From the loss to the first look at its host. */
  readonly lookMs: number;
}

/** A guest is destroyed right after its host was looked at, so that the next look is a whole interval away. */
async function loseOne(manner: (follow: Follow) => Follow): Promise<Told> {
  const wrap = (ports: Ports): Ports => {
    const follow = manner((...args) => ports.hints.follow(...args));
    return { ...ports, hints: { follow } };
  };
  const watch = { ...quickPolicy.watch, vmGraceMs: 100 };
  const system = await begin({ wrap, policy: { watch } });
  await system.watch(everyMs);
  const before = listsOf(system, 'a').length;
  await eventually('a look at its host', () => listsOf(system, 'a').length > before + 1);
  const [vm] = system.vmsOf('a');
  const lostMs = Date.now();
  system.controls.destroyByHand(system.host('a'), vm!);
  const incident = await eventually('its recovery', async () =>
    (await system.inventory.incidents({ vmId: vm! })).find((i) => i.closedAt !== undefined),
  );
  const told: Told = {
    became: {
      outcome: incident.outcome,
      acts: actsOn(system).map((act) => act.replaceAll(system.prefix, '')),
      runsOn: runsOn(system, vm!).map((host) => host.replace(system.prefix, '')),
      incidents: (await system.inventory.incidents()).length,
    },
    lookMs: (listsOf(system, 'a').find((at) => at > lostMs + underWayMs) ?? Number.MAX_SAFE_INTEGER) - lostMs,
  };
  await judge(system);
  return told;
}

it('comes to the same with every hint, with none, with some lost, and with doubled and false ones: only the time differs', async () => {
  const told = Object.fromEntries(
    await Promise.all(
      Object.entries(manners).map(async ([name, manner]) => [name, await loseOne(manner)] as const),
    ),
  );
  const [none, every] = [told['no hint']!, told['every hint']!];
  expect(none.became).toMatchObject({ outcome: 'recovered', runsOn: ['hv-a'], incidents: 1 });
  for (const [name, { became }] of Object.entries(told)) expect([name, became]).toEqual([name, none.became]);
  expect(every.lookMs).toBeLessThan(everyMs / 2);
  expect(none.lookMs).toBeGreaterThan(everyMs / 2);
}, 60_000);
