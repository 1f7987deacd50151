/**
 * A day in a data centre, in seconds: links flap, halves are split off, daemons hang, hosts lose their power and come back, guests are destroyed,
 * moved by hand and paused by failing disks, lists are lost, workers go away. The watch runs by itself; the person on call only says what is
 * true, switches on again what was off, and readmits what is back.
 */
import { RecoveryClient } from '../../client/recovery-client';
import type { HostId, VmId } from '../../domain/ids';
import { workflowIds } from '../../domain/ids';
import { mulberry32 } from '../../drivers/simulated/sample-world';
import { recoveryStatusQuery, resolveStuckUpdate, vmStatusQuery } from '../../workflows/messages';
import { recoverySystem, type RecoverySystem, quickPolicy } from '../support/recovery-system';
import { answer } from './person';
import { Unexplained } from './unexplained';

type Random = () => number;
const pick = <T>(random: Random, of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const policy = {
  ...quickPolicy,
  confirmEveryMs: 40,
  watch: { ...quickPolicy.watch, vmGraceMs: 60, restartBudget: { restarts: 50, perMs: 60_000 } },
} as const;

/** Longest that one trouble lasts: more than it takes to be acted on, so that some are acted on and others pass. */
const troubleMsMax = 900;
const pauseMsMax = 250;

interface Day {
  readonly system: RecoverySystem;
  readonly random: Random;
  readonly told: string[];
}

const hosts = ({ system }: Day): HostId[] => system.spec.hosts.map((h) => h.id);
const running = ({ system }: Day): { vm: VmId; on: HostId }[] =>
  system.controls
    .snapshot()
    .processes.filter((p) => p.endedSeq === undefined && p.state === 'running')
    .map((p) => ({ vm: p.vmId, on: p.hostId }));

const isWell = ({ system }: Day, id: HostId): boolean => {
  const host = system.controls.snapshot().hosts.find((h) => h.id === id);
  return host?.power === 'on' && !host.frozen && host.daemon === 'alive' && host.network === 'up';
};

type Trouble = (day: Day, host: HostId, lastsMs: number) => Promise<void> | void;

const troubles: Readonly<Record<string, Trouble>> = {
  async 'a link that flaps'({ system }, host, ms) {
    for (let i = 0; i < 3; i += 1) {
      system.controls.setNetwork(host, 'cut');
      await sleep(ms / 6);
      system.controls.setNetwork(host, 'up');
      await sleep(ms / 6);
    }
  },
  async 'a link of VMedic alone'({ system }, host, ms) {
    system.controls.setNetwork(host, 'unlinked');
    await sleep(ms);
    system.controls.setNetwork(host, 'up');
  },
  async 'a split'(day, _, ms) {
    const half = hosts(day).slice(0, Math.ceil(hosts(day).length / 2) + 1);
    for (const h of half) day.system.controls.setNetwork(h, 'cut');
    await sleep(ms);
    for (const h of half) day.system.controls.setNetwork(h, 'up');
  },
  async 'a daemon that hangs'({ system }, host, ms) {
    system.controls.hangDaemon(host);
    await sleep(ms);
    system.controls.resumeDaemon(host);
  },
  async 'a daemon that dies'({ system }, host, ms) {
    system.controls.killDaemon(host);
    await sleep(ms);
    system.controls.startDaemon(host);
  },
  async 'a power cut'({ system }, host, ms) {
    system.controls.cutPower(host);
    await sleep(ms);
    system.controls.powerOn(host);
  },
  'a reboot'({ system }, host) {
    system.controls.cutPower(host);
    system.controls.powerOn(host);
  },
  'a guest that is destroyed'(day) {
    const [one] = running(day);
    if (one !== undefined) day.system.controls.destroyByHand(one.on, one.vm);
  },
  'a guest that crashes'(day) {
    const one = running(day).at(-1);
    if (one !== undefined) day.system.controls.crashGuest(one.on, one.vm);
  },
  'a disk that fails'(day) {
    const one = running(day).at(-1);
    if (one !== undefined) day.system.controls.pauseGuest(one.on, one.vm, 'io-error');
  },
  'a guest that is moved by hand'(day, host) {
    const one = running(day).find((r) => r.on !== host && isWell(day, r.on));
    if (one !== undefined && isWell(day, host)) day.system.controls.migrateByHand(one.on, host, one.vm);
  },
  async 'lists that are lost'({ system }, host, ms) {
    const id = `lost-${host}-${Date.now()}`;
    const fault = { code: 'LIST_INCOMPLETE', facts: { detail: 'lost' } } as const;
    system.controls.addRule({
      ...{ id, port: 'hypervisor', call: 'list', target: host },
      then: { kind: 'fail-before', fault },
    });
    await sleep(ms);
    system.controls.clearRule(id);
  },
  async 'workers that go away'({ system }) {
    await system.stopWorker();
    await system.startWorker();
  },
};
const names = Object.keys(troubles);

export interface DayResult {
  readonly system: RecoverySystem;
  /** What went wrong, in order. */
  readonly told: readonly string[];
  /** What was still not in order when the patience ended; empty when all came to rest. */
  readonly restless: readonly string[];
  /** VMs that were down for a while, once the troubles were over, while nothing said why: no incident, no alert, no standing of their host. */
  readonly unexplained: readonly string[];
}

/** The same seed makes the same troubles in the same order; the moments are the machine's. Whoever asks closes the system. */
export async function aDay(seed: number, count: number, patienceMs: number): Promise<DayResult> {
  const system = await recoverySystem({ hosts: 5, vmsPerHost: 2, seed, storage: 'nfs', policy });
  const day: Day = { system, random: mulberry32(seed), told: [] };
  await system.watch();
  const person = onCall(day);
  const underWay: Promise<void>[] = [];
  for (let i = 0; i < count; i += 1) {
    const { random } = day;
    const name = pick(random, names);
    const host = pick(random, hosts(day));
    const ms = random() * troubleMsMax;
    const pauseMs = random() * pauseMsMax;
    day.told.push(`${name} (${host}, ${Math.round(ms)} ms)`);
    const trouble = Promise.resolve(troubles[name]?.(day, host, ms));
    // Workers do not go away twice at once.
    if (name.startsWith('workers')) await trouble;
    else underWay.push(trouble);
    await sleep(pauseMs);
  }
  await Promise.all(underWay);
  const unexplained = new Unexplained(day.system, () => new Set(running(day).map((r) => r.vm)));
  const restless = await untilAllIsWell(day, patienceMs, unexplained);
  await person.goesHome();
  return { system, told: day.told, restless, unexplained: unexplained.found };
}

async function untilAllIsWell(day: Day, patienceMs: number, unexplained: Unexplained): Promise<string[]> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    heal(day);
    const wrong = await notInOrder(day);
    if (wrong.length === 0) return wrong;
    await unexplained.look();
    if (Date.now() > deadline) return [...wrong, ...(await whatRunsSay(day))];
    await sleep(100);
  }
}

/** Nothing hangs or is cut off any more, and what was switched off is switched on again. */
function heal({ system: { controls } }: Day): void {
  controls.clearRules();
  for (const host of controls.snapshot().hosts) {
    if (host.network !== 'up') controls.setNetwork(host.id, 'up');
    if (host.power === 'off') controls.powerOn(host.id);
    if (host.daemon === 'hung') controls.resumeDaemon(host.id);
    if (host.daemon === 'dead') controls.startDaemon(host.id);
  }
}

/** What the watch's own attempt is at; and of each VM whose run is still under way: what it does, or waits for. */
async function whatRunsSay({ system: { client, spec, prefix, fleet } }: Day): Promise<string[]> {
  const watches = await Promise.all(
    fleet.clusters.map(async ({ id }) => {
      const { status, raw } = await client.workflow.getHandle(workflowIds.watch(`${prefix}${id}`)).describe();
      const attempts = (raw.pendingActivities ?? []).map(
        (a) => `attempt ${a.attempt}, the last failure "${a.lastFailure?.message ?? 'none'}"`,
      );
      return `watch of ${id}: ${status.name}, ${attempts.join(', ')}`;
    }),
  );
  const runs = [
    ...spec.hosts.map(({ id }) => ({ name: String(id), workflowId: workflowIds.host(id) })),
    ...spec.vms.map(({ id, name }) => ({ name, workflowId: workflowIds.vm(id) })),
  ];
  const said = await Promise.all(
    runs.map(async ({ name, workflowId }) => {
      const handle = client.workflow.getHandle(workflowId);
      const run = await handle.describe().catch(() => undefined);
      if (run === undefined) return [];
      const asked = name.startsWith('vm-') ? vmStatusQuery : recoveryStatusQuery;
      const status = run.status.name === 'RUNNING' ? await handle.query(asked.name).catch(String) : '';
      return [
        `${name}: its last run is ${run.status.name}, begun at ${run.startTime.toISOString()} ${JSON.stringify(status)}`,
      ];
    }),
  );
  return [...watches, ...said.flat()];
}

async function notInOrder(day: Day): Promise<string[]> {
  const { inventory, spec } = day.system;
  const [open, of, records, vms] = await Promise.all([
    inventory.incidents({ open: true }),
    inventory.incidents(),
    inventory.hosts(),
    inventory.vms(),
  ]);
  const runs = running(day);
  return [
    ...open.map(
      (i) => `open: ${i.incidentId} ${i.phase}: ${i.summary} (${i.nextCommand ?? 'nothing asked'})`,
    ),
    ...records.flatMap((r) => (r.standing === 'in-service' ? [] : [`${r.hostId} is ${r.standing}`])),
    ...spec.vms.flatMap((vm) => {
      const record = vms.find((v) => v.vmId === vm.id);
      const on = runs.filter((r) => r.vm === vm.id).map((r) => r.on);
      const inPlace = on.length === 1 && on[0] === record?.hostId;
      if (inPlace) return [];
      const last = of.find((i) => i.target.kind === 'vm' && i.target.vmId === vm.id);
      const said = last === undefined ? 'no incident' : `${last.outcome ?? 'open'}: ${last.summary}`;
      return [
        `${vm.name} is to be ${record?.desired ?? ''} and is ${record?.observed.state ?? ''}, ${said}; it runs on [${on.join()}], recorded on ${record?.hostId ?? 'none'}`,
      ];
    }),
  ];
}

/** Looks round until sent home. */
function onCall(day: Day): { goesHome(): Promise<void> } {
  let atWork = true;
  const { client, inventory, fleet, taskQueue, controls } = day.system;
  const desk = { client, inventory, fleet, taskQueue };
  const front = new RecoveryClient({ ...desk, address: 'the test server' });
  const asking = { by: 'person on call', source: 'operator' } as const;
  const retry = async (vm: VmId): Promise<void> => {
    const said = { by: 'person', reason: 'cured', resolution: 'retry' } as const;
    const run = client.workflow.getHandle(workflowIds.vm(vm));
    await run.executeUpdate(resolveStuckUpdate, { args: [said] }).catch(() => undefined);
  };
  const lookRound = async (): Promise<void> => {
    for (const { hostId, standing } of await inventory.hosts())
      if (standing === 'quarantined' || standing === 'excluded')
        await front.readmitHost(hostId, { ...asking, reason: 'it is back' }).catch(() => undefined);
    // What an alert asks for: a VM that an incident could not bring back is tried again by itself as well, but no sooner than in a minute.
    for (const { key } of await inventory.alerts({ open: true })) {
      const vm = /^vm:(.+)$/.exec(key)?.[1];
      if (vm !== undefined)
        await front.restartVm(vm, { ...asking, reason: 'its cause is cured' }).catch(() => undefined);
      // Also of a host's incident: it may have gone on without the VM that waits.
      const stuck = /^vm-stuck:(.+)$/.exec(key)?.[1];
      if (stuck !== undefined) await retry(stuck as VmId);
    }
    for (const i of await inventory.incidents({ open: true })) {
      const snapshot = controls.snapshot().hosts;
      if (i.target.kind === 'host' && i.nextCommand !== undefined)
        await answer(desk, snapshot, i.target.hostId, i.nextCommand, i.phase, false);
    }
  };
  const work = (async () => {
    while (atWork) {
      await lookRound();
      await sleep(200);
    }
  })();
  return {
    async goesHome() {
      atWork = false;
      await work;
    },
  };
}
