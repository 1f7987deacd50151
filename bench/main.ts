/** The command: `make bench`, or `node dist/bench/main.js --help`. */
import { readFileSync } from 'node:fs';
import { defaultPolicy } from '../domain/limits';
import { labAvailability } from '../lab/availability';
import { type BareRun, recoverBare } from './bare';
import { lookAtMachine } from './cpu';
import { kvmSite } from './kvm-site';
import { type BenchCase, type BenchOptions, chooseCases, help, parseOptions, UsageError } from './options';
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
  const wrong = remarks(results);
  const document = {
    at: new Date().toISOString(),
    machine,
    leftOut: choice.leftOut,
    results,
    remarks: wrong,
  };
  const text = [machineText(machine), '', tableText(results), '', legend, ...choice.leftOut, ...wrong].join(
    '\n',
  );
  process.stdout.write(o.json ? `${JSON.stringify(document, null, 2)}\n` : `\n${text}\n`);
  return results.some((r) => r.complaints.length > 0) ? 1 : 0;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    const usage = error instanceof UsageError;
    note(usage ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(usage ? 2 : 1);
  },
);
