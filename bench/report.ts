/** Results as plain data, and as text for people. Pure. */
import type { BareRun } from './bare';
import type { Machine } from './cpu';
import { aimOfBare, aimSeconds, idealSeconds, pacemakerSeconds, type Spread, spread } from './figures';
import type { BenchCase } from './options';
import type { VmedicRun } from './vmedic';

/** Seconds throughout. */
export interface CaseResult {
  readonly name: string;
  readonly vms: number;
  readonly concurrency: { readonly window: number; readonly perHost: number };
  /** Since the cut: the host counts as dead, its power was read as off, the plan stands, the incident is closed. */
  readonly confirmed: number;
  readonly offProven: number;
  readonly planned: number;
  readonly closed: number;
  readonly sinceCut: Spread;
  readonly sinceOff: Spread;
  readonly bare:
    { readonly offProven: number; readonly sinceCut: Spread; readonly sinceOff: Spread } | undefined;
  /** Last VM since the cut, as a multiple of the bare calls'; for real starts only: nothing can be a multiple of nothing. */
  readonly ofBare: number | undefined;
  /** Last VM since the power was read as off, as a multiple of the machine's floor. */
  readonly ofIdeal: number | undefined;
  readonly ideal: number | undefined;
  readonly pacemakerSinceOff: number | undefined;
  readonly aim: string | undefined;
  readonly aimMet: boolean | undefined;
  /** CPU milliseconds per VM. */
  readonly cpuPerVm: VmedicRun['cpu'];
  readonly othersCpu: number;
  readonly load: number;
  readonly complaints: readonly string[];
}

export function resultOf(
  one: BenchCase,
  concurrency: CaseResult['concurrency'],
  runs: { readonly vmedic: VmedicRun; readonly bare: BareRun | undefined },
  machine: Machine,
): CaseResult {
  const { vmedic, bare } = runs;
  const since = (ms: number): number => (ms - vmedic.cutMs) / 1000;
  const sinceCut = spread(vmedic.upMs, vmedic.cutMs);
  const sinceOff = spread(vmedic.upMs, vmedic.offProvenMs);
  const real = one.kind === 'kvm';
  const bareSpread = bare && {
    offProven: (bare.offProvenMs - bare.cutMs) / 1000,
    sinceCut: spread(bare.upMs, bare.cutMs),
    sinceOff: spread(bare.upMs, bare.offProvenMs),
  };
  const ideal = real ? idealSeconds(one.vms, machine.cores) : undefined;
  const ofBare = real && bareSpread !== undefined ? sinceCut.last / bareSpread.sinceCut.last : undefined;
  const perVm = (seconds: number): number => (seconds * 1000) / one.vms;
  return {
    ...{ name: one.name, vms: one.vms, concurrency, sinceCut, sinceOff, ideal, ofBare },
    confirmed: since(vmedic.confirmedMs),
    offProven: since(vmedic.offProvenMs),
    planned: since(vmedic.plannedMs),
    closed: since(vmedic.closedMs),
    bare: bareSpread,
    ofIdeal: ideal === undefined ? undefined : sinceOff.last / ideal,
    pacemakerSinceOff: one.kind === 'simulated' ? pacemakerSeconds.get(one.vms) : undefined,
    ...aimOf(one, sinceOff.last, ofBare),
    cpuPerVm: {
      worker: vmedic.cpu.worker === undefined ? undefined : perVm(vmedic.cpu.worker),
      temporal: perVm(vmedic.cpu.temporal),
      postgres: perVm(vmedic.cpu.postgres),
    },
    ...{ othersCpu: vmedic.othersCpu, load: machine.load },
    complaints: complaintsOf(one, vmedic),
  };
}

function complaintsOf(one: BenchCase, { result, complaints }: VmedicRun): string[] {
  const running = result.vms.filter((vm) => vm.phase === 'running').length;
  const said = running === one.vms ? [] : [`VMedic says that ${running} of ${one.vms} VMs run`];
  return [...said, ...complaints];
}

function aimOf(
  one: BenchCase,
  lastSinceOff: number,
  ofBare: number | undefined,
): Pick<CaseResult, 'aim' | 'aimMet'> {
  const seconds = one.kind === 'simulated' ? aimSeconds.get(one.vms) : undefined;
  if (seconds !== undefined)
    return { aim: `last VM ${seconds} s after the off`, aimMet: lastSinceOff <= seconds };
  if (ofBare !== undefined) return { aim: `${aimOfBare} x bare`, aimMet: ofBare <= aimOfBare };
  return { aim: undefined, aimMet: undefined };
}

/** Above this share of the CPU in use by others, times are theirs as much as ours. */
const busyShareMax = 0.15;

export function machineText({ cores, model, load, busy }: Machine): string {
  const line = `${cores} cores (${model}), load ${load.toFixed(1)}, ${percent(busy)} of the CPU in use before anything began`;
  if (busy <= busyShareMax) return line;
  return `${line}\nWARNING: this machine is busy with other work. Times below are longer than they would be alone; ratios within one case, and CPU per VM, say more.`;
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const s = (seconds: number): string => seconds.toFixed(seconds < 10 ? 2 : 1);
const maybe = (value: number | undefined, text: (v: number) => string): string =>
  value === undefined ? '-' : text(value);

const columns: readonly (readonly [title: string, cell: (r: CaseResult) => string])[] = [
  ['CASE', (r) => r.name],
  ['DEAD', (r) => s(r.confirmed)],
  ['OFF', (r) => s(r.offProven)],
  ['FIRST', (r) => s(r.sinceCut.first)],
  ['MEDIAN', (r) => s(r.sinceCut.median)],
  ['LAST', (r) => s(r.sinceCut.last)],
  ['OFF-LAST', (r) => s(r.sinceOff.last)],
  ['BARE LAST', (r) => maybe(r.bare?.sinceCut.last, s)],
  ['x BARE', (r) => maybe(r.ofBare, s)],
  ['IDEAL', (r) => maybe(r.ideal, s)],
  ['x IDEAL', (r) => maybe(r.ofIdeal, s)],
  ['PACEMAKER', (r) => maybe(r.pacemakerSinceOff, s)],
  ['AIM', (r) => (r.aimMet === undefined ? '-' : r.aimMet ? 'met' : 'MISSED')],
  ['CPU ms/VM', (r) => cpuText(r)],
  ['LOAD', (r) => r.load.toFixed(1)],
];

/** Worker, Temporal, PostgreSQL. */
const cpuText = ({ cpuPerVm: { worker, temporal, postgres } }: CaseResult): string =>
  [worker, temporal, postgres].map((ms) => maybe(ms, (v) => v.toFixed(1))).join(' + ');

export function tableText(results: readonly CaseResult[]): string {
  const rows = [columns.map(([title]) => title), ...results.map((r) => columns.map(([, cell]) => cell(r)))];
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))),
    )
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}

export const legend = [
  'Seconds after the power cut: DEAD counts as dead by evidence, OFF power read as off, FIRST MEDIAN LAST VM up.',
  'OFF-LAST from the power read as off to the last VM. BARE the same drivers, fence and starts with nothing remembered.',
  'IDEAL what the starts alone cost this machine (0.37 s of CPU each, over its cores); x IDEAL compares OFF-LAST with it.',
  'PACEMAKER from its fence to the last of as many zero-cost VMs, measured by bench/peers on 2 idle cores: not this run.',
  'CPU ms/VM worker + Temporal + PostgreSQL, from the cut until the incident is closed, the watch and virsh included.',
].join('\n');

/** What is wrong, and which aim was missed; empty when there is nothing to say. */
export const remarks = (results: readonly CaseResult[]): string[] =>
  results.flatMap((r) => [
    ...r.complaints.map((why) => `${r.name}: ${why}`),
    ...(r.aimMet === false ? [`${r.name}: the aim (${r.aim}) was missed`] : []),
  ]);
