import type { Checker, Facts, Finding } from './facts';
import { oneProcess, oneRunPerBoot } from './one-writer';
import {
  evidencePrecedesRelease,
  noLiveHostsLockReleased,
  permitsRestOnFacts,
  startsHavePermits,
  unknownIsNeverOff,
} from './proofs';
import { alertsOnce, nothingLeftBehind, recordIsReality } from './reality';

export const checkers: Readonly<Record<string, Checker>> = {
  oneProcess,
  oneRunPerBoot,
  startsHavePermits,
  permitsRestOnFacts,
  noLiveHostsLockReleased,
  evidencePrecedesRelease,
  unknownIsNeverOff,
  recordIsReality,
  nothingLeftBehind,
  alertsOnce,
};

/** Everything that any checker has to say; empty when the laws were kept. */
export const judge = (facts: Facts): Finding[] => Object.values(checkers).flatMap((check) => check(facts));

/** One line per finding, for a test's message. */
export const asText = (findings: readonly Finding[]): string[] =>
  findings.map((f) => `${f.checker}: ${f.sentence}${f.seq === undefined ? '' : ` (#${f.seq})`}`);
