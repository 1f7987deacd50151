import type { AggregatedResult } from '@jest/test-result';
import type { Config } from '@jest/types';

declare class TotalsReporter {
  constructor(globalConfig: Config.GlobalConfig);
  onRunComplete(contexts: unknown, results: AggregatedResult): void;
  getLastError(): Error | undefined;
}

declare namespace TotalsReporter {
  interface LeftOut {
    readonly need: string;
    readonly reason: string;
    readonly tests: number;
  }
  function leftOut(results: AggregatedResult): LeftOut[];
  function totalsLine(results: AggregatedResult): string;
  function refusal(entries: readonly LeftOut[], ci: boolean): Error | undefined;
}

export = TotalsReporter;
