/** Beat guests whose disks lie on a store of their host's own that can be filled: real QEMU then pauses them, because a write failed. */
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeBeatDisk } from '../../lab/guest/disk';
import { domainXml } from '../../lab/guest/domain-xml';
import type { LabHost } from '../../lab/host/lab-host';
import type { Lab } from '../../lab/lab';
import { judgeDiskFile } from '../../lab/oracle/read-disk';
import { printedRecords } from '../../lab/oracle/record';
import { waitFor } from '../../lab/wait-for';

/** The firmware boots from nothing smaller than a cylinder. What is not written yet takes no room. */
const diskBytes = 1024 * 1024;
/** A page holds eight records: a guest needs room for another one every second. */
const ticks = 2;
const patienceMs = 30_000;

export class FullStore {
  private readonly host: LabHost;
  private readonly filler: string;

  constructor(
    private readonly lab: Lab,
    host: string,
  ) {
    this.host = lab.host(host);
    this.filler = this.inside('filler');
  }

  /** Makes a guest on the store and starts it; it has beaten when this returns. */
  async guest(name: string): Promise<StoredGuest> {
    const uuid = randomUUID();
    const { folder } = this.lab;
    const outside = join(folder, 'disks', `${name}.raw`);
    const inside = this.inside(name);
    const serial = join(folder, 'serial', `${name}.log`);
    await makeBeatDisk(outside, 'raw', { ticks }, diskBytes);
    await this.host.run(['cp', '--sparse=always', outside, inside]);
    // Not every kernel lets a file in memory be opened past its cache.
    const xml = domainXml({ name, uuid, disk: inside, format: 'raw', serial });
    const file = join(folder, 'xml', `${name}.xml`);
    writeFileSync(file, xml.replace("cache='none'", "cache='writeback' error_policy='stop'"));
    await this.host.virshOrThrow(['define', '--validate', '--file', file]);
    await this.host.virshOrThrow(['start', name]);
    const guest = new StoredGuest(this.host, name, uuid, { inside, outside, serial });
    await guest.beats();
    return guest;
  }

  async fill(): Promise<void> {
    // It ends by an error: that there is no room left is what is wanted.
    await this.host.run(['sh', '-c', 'cat /dev/zero >"$1" 2>/dev/null || :', 'sh', this.filler]);
  }

  async makeRoom(): Promise<void> {
    await this.host.run(['rm', '-f', this.filler]);
  }

  private inside(name: string): string {
    return join(this.host.folder, 'run/small', name);
  }
}

export class StoredGuest {
  constructor(
    private readonly host: LabHost,
    readonly name: string,
    readonly uuid: string,
    private readonly files: {
      readonly inside: string;
      readonly outside: string;
      readonly serial: string;
    },
  ) {}

  /** As `virsh domstate --reason` has it. */
  async state(): Promise<string> {
    return (await this.host.virshOrThrow(['domstate', this.name, '--reason'])).trim();
  }

  untilPaused(): Promise<string> {
    return waitFor(`${this.name} to be paused`, patienceMs, async () => {
      const state = await this.state();
      return state.startsWith('paused') && state;
    });
  }

  /** Until it has beaten again. */
  async beats(): Promise<void> {
    const now = this.printed();
    await waitFor(`${this.name} to beat`, patienceMs, () => this.printed() > now);
  }

  /** As a person does. */
  async resume(): Promise<void> {
    await this.host.virshOrThrow(['resume', this.name]);
  }

  /** Boots that its disk has seen; throws unless the oracle calls the disk clean. */
  async boots(): Promise<number> {
    const { inside, outside: path } = this.files;
    await this.host.run(['cp', inside, path]);
    const verdict = await judgeDiskFile({ path, format: 'raw', vm: this.uuid });
    if (verdict.verdict !== 'CLEAN') throw new Error(`${this.name}: ${JSON.stringify(verdict)}`);
    return verdict.runs.length;
  }

  /** As an administrator does who has no use for it any more. */
  async remove(): Promise<void> {
    await this.host.virsh(['destroy', this.name]);
    await this.host.virsh(['undefine', this.name]);
  }

  private printed(): number {
    try {
      return printedRecords(readFileSync(this.files.serial, 'latin1')).length;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return 0;
      throw cause;
    }
  }
}
