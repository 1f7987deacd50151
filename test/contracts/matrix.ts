import type { ContractCase } from './contract';
import type { ContractDriver, ContractPort } from './drivers';

export interface Cell {
  readonly port: ContractPort;
  readonly driver: string;
  /** Cases that run there; 0 is an empty cell. */
  readonly cases: number;
  readonly leftOut: number;
  readonly why: string | undefined;
}

export type CasesByPort = Readonly<
  Record<ContractPort, readonly Pick<ContractCase<never>, 'name' | 'needs'>[]>
>;

/** What is run where, read from the test files themselves: a driver that is declared and run by no file is an empty cell. */
export function contractMatrix(
  drivers: readonly ContractDriver[],
  cases: CasesByPort,
  sources: readonly string[],
): Cell[] {
  const flat = sources.map((s) => s.replace(/\s+/g, ' ').replaceAll('( ', '('));
  return drivers.map(({ port, driver, lacks, runBy }) => {
    const words = runBy ?? `runContract('${port}', '${driver}'`;
    const all = cases[port];
    if (!flat.some((s) => s.includes(words)))
      return { port, driver, cases: 0, leftOut: all.length, why: `no test file has: ${words}` };
    const lacking = all.flatMap((c) => (c.needs === undefined ? [] : (lacks[c.needs] ?? [])));
    const leftOut = lacking.length;
    const run = all.length - leftOut;
    const reasons = [...new Set(lacking)].join('; ');
    return { port, driver, cases: run, leftOut, why: leftOut > 0 ? reasons : undefined };
  });
}

export const emptyCells = (cells: readonly Cell[]): Cell[] => cells.filter((c) => c.cases === 0);

export function matrixText(cells: readonly Cell[]): string {
  const width = Math.max(...cells.map((c) => c.driver.length));
  const lines = cells.map((c) => {
    const leftOut = c.leftOut > 0 ? `  ${c.leftOut} left out: ${c.why ?? ''}` : '';
    return `${c.port.padEnd(13)} ${c.driver.padEnd(width)} ${String(c.cases).padStart(4)} cases${leftOut}`;
  });
  return ['port x driver', ...lines].join('\n');
}
