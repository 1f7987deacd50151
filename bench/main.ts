/** The command: `make bench`, or `node dist/bench/main.js --help`. */
import { readFileSync } from 'node:fs';
import { defaultPolicy } from '../domain/limits';
import { labAvailability } from '../lab/availability';
import { type BareRun, recoverBare } from './bare';
import { lookAtMachine } from './cpu';
import { kvmSite } from './kvm-site';
import { apiStartText, measureApiStart } from './api-start';
import {
  type BenchCase,
  type BenchOptions,
  chooseCases,
  help,
  type OtherCase,
  parseOptions,
  UsageError,
} from './options';
import { measureQuiet, quietText } from './quiet';
import { measureUnattended, unattendedText } from './unattended';
import { type CaseResult, legend, machineText, remarks, resultOf, tableText } from './report';
import { simulatedSite } from './simulated-site';
import type { BenchSite } from './site';
import { recoverWithVmedic } from './vmedic';

const note = (line: string): void => void process.stderr.write(`${line}\n`);

function siteFor(
  one: BenchCase,
  o: BenchOptions,
  concurrency: CaseResult['concurrency'],
): Promise<BenchSite> {
  const shared = { vms: one.vms, concurrency };
  if (one.kind === 'kvm') return kvmSite({ ...shared, progress: (line) => note(`    ${line}`) });
  return simulatedSite({ ...shared, startMs: o.startMs });
}

async function measure(one: BenchCase, o: BenchOptions): Promise<CaseResult> {
  const window = o.window ?? defaultPolicy.concurrency.window;
  const concurrency = { window, perHost: Math.min(window, o.perHost ?? defaultPolicy.concurrency.perHost) };
  const site = await siteFor(one, o, concurrency);
  try {
    let bare: BareRun | undefined;
    if (o.bare && one.kind !== 'crash') {
      note('  the bare calls');
      bare = await recoverBare(site, concurrency, o.timeoutMs);
      note('  putting everything back');
      await site.reset();
    }
    const machine = await lookAtMachine();
    note('  VMedic');
    const vmedic = await recoverWithVmedic(site, {
      timeoutMs: o.timeoutMs,
      killWorkerAt: one.kind === 'crash' ? Math.ceil(one.vms / 4) : undefined,
      progress: (line) => note(`    ${line}`),
    });
    return resultOf(one, concurrency, { vmedic, bare }, machine);
  } finally {
    await site.close();
  }
}

interface Told {
  readonly text: string;
  readonly result: unknown;
  readonly wrong: boolean;
}

/** On a datacenter of its own each. */
async function measureOther(one: OtherCase, o: BenchOptions): Promise<Told> {
  const { window, perHost } = defaultPolicy.concurrency;
  const progress = (line: string): void => note(`    ${line}`);
  const shared = { vms: one.vms, concurrency: { window, perHost }, mode: 'automatic' } as const;
  const site =
    one.on === 'kvm'
      ? await kvmSite({ ...shared, progress })
      : await simulatedSite({
          ...{ ...shared, startMs: o.startMs },
          ...(one.kind === 'quiet' && { spreadOver: quietHosts }),
        });
  const options = { timeoutMs: o.timeoutMs, progress };
  try {
    if (one.kind === 'quiet') {
      const result = await measureQuiet(one.name, site, { ...options, seconds: o.seconds });
      return { result, text: quietText(result), wrong: false };
    }
    if (one.kind === 'unattended') {
      const graceSeconds = defaultPolicy.watch.vmGraceMs / 1000;
      const result = await measureUnattended(one.name, site, { ...options, graceSeconds });
      return { result, text: unattendedText(result), wrong: result.complaints.length > 0 };
    }
    const result = await measureApiStart(one.name, site, { ...options, rounds: o.rounds });
    return { result, text: apiStartText(result), wrong: false };
  } finally {
    await site.close();
  }
}

const quietHosts = 20;

const freeMiB = (): number =>
  Math.round(
    Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) / 1024,
  );

async function main(argv: readonly string[]): Promise<number> {
  const o = parseOptions(argv);
  if (o === 'help') {
    process.stdout.write(help);
    return 0;
  }
  const lab = await labAvailability();
  const noLab = lab.available ? undefined : `real hosts cannot be had here: ${lab.why}; ${lab.cure}`;
  const root =
    process.getuid?.() === 0 ? 'real hosts need an ordinary user: make bench sees to it' : undefined;
  const choice = chooseCases(o, { kvm: noLab ?? root, freeMiB: freeMiB() });
  const machine = await lookAtMachine();
  note(machineText(machine));
  const results: CaseResult[] = [];
  for (const one of choice.cases)
    for (let round = 1; round <= o.repeat; round++) {
      note(`${one.name}${o.repeat > 1 ? ` (${round} of ${o.repeat})` : ''}`);
      const result = await measure(one, o);
      results.push(result);
      note(tableText([result]));
    }
  const others: Told[] = [];
  for (const one of choice.others) {
    note(one.name);
    const told = await measureOther(one, o);
    others.push(told);
    note(told.text);
  }
  const wrong = remarks(results);
  const document = {
    at: new Date().toISOString(),
    machine,
    leftOut: choice.leftOut,
    results,
    others: others.map((told) => told.result),
    remarks: wrong,
  };
  const table = results.length === 0 ? [] : ['', tableText(results), '', legend];
  const told = others.flatMap((other) => ['', other.text]);
  const text = [machineText(machine), ...table, ...told, ...choice.leftOut, ...wrong].join('\n');
  process.stdout.write(o.json ? `${JSON.stringify(document, null, 2)}\n` : `\n${text}\n`);
  return results.some((r) => r.complaints.length > 0) || others.some((other) => other.wrong) ? 1 : 0;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    const usage = error instanceof UsageError;
    note(usage ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(usage ? 2 : 1);
  },
);
