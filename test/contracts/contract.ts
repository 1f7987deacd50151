/**
 * One suite per port, run against every driver of it. A case is data: its name is a rule that every driver obeys, and `needs` names what a
 * world must be able to arrange for it. What a driver's world cannot arrange is declared in `drivers.ts` with the reason, so that the matrix
 * shows it and nothing is left out in silence.
 */
import { testIf } from '../support/optional';
import { contractDrivers, type ContractPort } from './drivers';

export type Need =
  | 'device-that-ignores-off'
  | 'silent-device'
  | 'wrong-password'
  | 'image-locks'
  | 'server-locks'
  | 'activation'
  | 'lockless-pool'
  | 'hung-daemon'
  | 'transient-vms'
  | 'paused-vms'
  | 'asked-shutdown'
  | 'stop-reasons'
  | 'console-output'
  | 'host-mark'
  | 'frozen-host'
  | 'failing-sink'
  | 'lying-mover'
  | 'hanging-mover'
  | 'live-move'
  | 'full-pool'
  | 'unlinked-disk'
  | 'dead-host'
  | 'neighbours-view';

export interface ContractCase<Subject> {
  readonly name: string;
  readonly needs?: Need;
  run(subject: Subject): Promise<void>;
}

/** Opens a world for the cases. `reset` runs before each case; a world that is opened anew for each has nothing to reset. */
export interface Opened<Subject> {
  readonly subject: Subject;
  reset?(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Registers every case as a test. The matrix finds this call by its two names, so both are written as literals. `per: 'suite'` keeps one
 * world for all cases, for worlds that take long to make.
 */
export function runContract<Subject>(
  port: ContractPort,
  driver: string,
  cases: readonly ContractCase<Subject>[],
  open: () => Promise<Opened<Subject>>,
  per: 'case' | 'suite' = 'case',
): void {
  const lacks = contractDrivers.find((d) => d.port === port && d.driver === driver)?.lacks;
  if (lacks === undefined) throw new Error(`declare ${port} on ${driver} in drivers.ts`);
  describe(`${port} on ${driver}`, () => {
    let opened: Opened<Subject> | undefined;
    beforeEach(async () => {
      opened ??= await open();
      await opened.reset?.();
    });
    const close = async (): Promise<void> => {
      await opened?.close();
      opened = undefined;
    };
    if (per === 'case') afterEach(close);
    afterAll(close);

    for (const one of cases) {
      const lack = one.needs === undefined ? undefined : lacks[one.needs];
      testIf(
        lack === undefined,
        lack ?? 'nothing is lacking',
        'beyond-ci',
      )(one.name, async () => {
        expect.hasAssertions();
        await one.run(opened?.subject as Subject);
      });
    }
  });
}

/** The code of the `DriverFault` that a call ends with; fails the case when it does not, or ends with anything else. */
export async function faultCode(call: Promise<unknown>): Promise<string> {
  const end = await call.then(
    (answer: unknown) => ({ answer }),
    (error: unknown) => ({ error }),
  );
  if ('answer' in end) throw new Error(`it was answered: ${JSON.stringify(end.answer)}`);
  const code = codeOf(end.error);
  if (code !== undefined) return code;
  throw new Error('it threw something that is no DriverFault', { cause: end.error });
}

/** Undefined for what is no `DriverFault`. Looked at by shape: a driver's build may have a class of its own. */
export const codeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'fault' in error
    ? (error.fault as { code: string }).code
    : undefined;

/** Fails when the call is not over by then. Returns how long it took. */
export async function within(ms: number, call: Promise<unknown>): Promise<number> {
  const begun = Date.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it was not over in ${ms} ms`)), ms);
  });
  await Promise.race([call.catch(() => undefined), late]).finally(() => clearTimeout(timer));
  return Date.now() - begun;
}

/** Asks until it is so. */
export async function eventually(ms: number, isSo: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > until) throw new Error(`it did not come about in ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export const notAborted = (): AbortSignal => new AbortController().signal;
