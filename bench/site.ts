/** A datacenter that a bench may break: real or simulated, all of its VMs on the one host that fails. */
import type { HostId, VmId } from '../domain/ids';
import type { VmedicConfig } from '../workers/config';

export interface BenchVm {
  readonly vmId: VmId;
  readonly name: string;
}

/** Instants in milliseconds since 1970, by the one clock of this machine, when each VM showed that it lives again. */
export interface Ups {
  /** @throws when it takes longer. */
  all(timeoutMs: number): Promise<readonly number[]>;
  /** So many are up by now. */
  count(): Promise<number>;
  stop(): void;
}

export interface BenchSite {
  readonly config: VmedicConfig;
  readonly configPath: string;
  /** Where VMedic may keep its state. */
  readonly stateDir: string;
  readonly failing: HostId;
  readonly survivors: readonly HostId[];
  readonly vms: readonly BenchVm[];
  /** Process ids whose CPU time is the datacenter's own, not VMedic's; found anew after each `reset`. */
  pids(): readonly number[];
  /** Begins to look for signs of life that are newer than now. */
  watch(): Promise<Ups>;
  /** As a person does by hand on its host, which lives on. Returns the instant at which it was gone. */
  destroyVm(vm: BenchVm): Promise<number>;
  /** Returns the instant at which the host was without power. */
  cutPower(): Promise<number>;
  /** Every VM runs on the failing host again, as if nothing had been. */
  reset(): Promise<void>;
  /** What is not as it must be after a recovery, asked of the world itself; empty when every VM runs exactly once. */
  complaints(): Promise<readonly string[]>;
  close(): Promise<void>;
}
