/** What the demo needs of a datacenter, real or simulated: to fail a host of it, and to look at it without asking VMedic. */

export interface DemoVm {
  readonly name: string;
  /** Where it runs before anything fails. */
  readonly host: string;
}

/** What the world itself says of one VM. */
export interface SeenVm {
  readonly name: string;
  /** Hosts that say that it runs there: one, when all is well. */
  readonly runsOn: readonly string[];
  /** How many times its guest was booted, by its disk. */
  readonly boots: number;
  /** Whether its disk shows one writer after another, and nothing lost. */
  readonly oracle: 'CLEAN' | 'VIOLATION' | 'UNKNOWN';
  /** What the oracle complains of. */
  readonly why: string | undefined;
}

export interface DemoDatacenter {
  readonly configPath: string;
  readonly stateDir: string;
  readonly hosts: readonly string[];
  readonly vms: readonly DemoVm[];
  /** How the looking is done, as a sentence. */
  readonly judge: string;
  /** Cuts the host's power as a person at its BMC would. @returns what was done, as a sentence. */
  cutPower(host: string): Promise<string>;
  /** Calls back at the first sign of life of each of these VMs' guests that is newer than now, until the signal is aborted. */
  onSignOfLife(vms: readonly string[], signal: AbortSignal, back: (vm: string) => void): void;
  /** Asks hosts and disks, never VMedic. */
  look(): Promise<SeenVm[]>;
  /** Removes all of it. Idempotent. */
  close(): Promise<void>;
}
