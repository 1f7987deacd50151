import { readFileSync } from 'node:fs';
import type { LabHost } from './host/lab-host';
import type { VmEntry } from './manifest';
import type { Verdict } from './oracle/judge';
import { judgeDiskFile } from './oracle/read-disk';
import { type BeatRecord, printedRecords } from './oracle/record';
import { waitFor } from './wait-for';

const START_MS = 60_000;

/** A beat guest of the lab. It may be asked to run on any host, and on two at once: that is what the oracle is for. */
export class LabVm {
  readonly name: string;
  readonly uuid: string;

  constructor(
    readonly entry: VmEntry,
    readonly home: LabHost,
  ) {
    this.name = entry.name;
    this.uuid = entry.uuid;
  }

  /** Makes it known to a host for good. Idempotent. */
  async define(host = this.home): Promise<void> {
    await host.virshOrThrow(['define', '--validate', '--file', this.entry.xmlFile]);
  }

  async undefine(host = this.home): Promise<void> {
    await host.virshOrThrow(['undefine', this.name]);
  }

  /** @throws with libvirt's words when it refuses, for instance because another QEMU holds the disk. */
  async start(host = this.home): Promise<void> {
    const how = this.entry.transient ? ['create', '--file', this.entry.xmlFile] : ['start', this.name];
    await host.virshOrThrow(how, START_MS);
  }

  /** Ends it at once, as a power cut does. */
  async destroy(host = this.home): Promise<void> {
    await host.virshOrThrow(['destroy', this.name], START_MS);
  }

  /** As `virsh domstate` has it; `absent` when this host has never heard of it. */
  async state(host = this.home): Promise<string> {
    const names = await host.virshOrThrow(['list', '--all', '--name'], 10_000);
    if (!names.split('\n').includes(this.name)) return 'absent';
    return (await host.virshOrThrow(['domstate', this.name], 10_000)).trim();
  }

  /** What it has printed so far, on whatever host. */
  printed(): BeatRecord[] {
    try {
      return printedRecords(readFileSync(this.entry.serial, 'latin1'));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw cause;
    }
  }

  /** Waits until it has printed so many beats more than now. @returns the last. */
  async beats(count = 1, timeoutMs = 30_000): Promise<BeatRecord> {
    return this.beatsBeyond(this.printed().length + count - 1, timeoutMs);
  }

  /** Waits until it has printed more than so many beats in all. @returns the last. */
  beatsBeyond(count: number, timeoutMs = 30_000): Promise<BeatRecord> {
    return waitFor(`${this.name} to beat`, timeoutMs, () => {
      const printed = this.printed();
      return printed.length > count ? printed.at(-1) : undefined;
    });
  }

  /** What the oracle says about its disk and all that it printed. May be asked while it runs. */
  judge(boots?: number): Promise<Verdict> {
    const { disk, format, serial, uuid } = this.entry;
    return judgeDiskFile({ path: disk, format, serial, vm: uuid, boots });
  }
}
