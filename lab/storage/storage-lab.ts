/**
 * The storage lab: real kernels with real NFS locks and real LVM, as small machines in QEMU processes of an ordinary user. No KVM, no kernel
 * module, no root; a network that only the guests are on; ssh into each.
 *
 *   const lab = await createStorageLab({ folder, guests: [{ name: 'nfs', role: 'server' }, { name: 'hv-a', role: 'kvm', mount: '3' }] });
 *   await lab.up();                          cold: about 15 s for three guests on two quiet cores
 *   await lab.guest('hv-a').run('virsh list');
 *   await lab.guest('hv-a').powerOff();
 *   await lab.save(stateFolder);             everybody at one moment; the lab is off afterwards
 *   await lab.restore(stateFolder);          seconds
 *   await lab.down();
 */
import { randomBytes, randomInt } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../bmc/ports';
import { IpmiBmc } from '../bmc/ipmi';
import { checkLabFolder, makeLabFolder } from '../folder';
import { labFile } from '../lab-file';
import { endProcess, readRecord } from '../recorded-process';
import { runOrThrow } from '../run';
import { StorageGuest } from './guest';
import { type StorageImage, storageImage } from './image';
import { type GuestSpec, machineScript, machineShape, type Placed } from './machine';

export type { GuestRole, GuestSpec } from './machine';
export type { StorageGuest } from './guest';

const COPY_MS = 60_000;
const MANIFEST = 'storage-lab.json';
const USERNAME = 'fence';

export interface StorageLabOptions {
  /** An absolute path of less than 50 characters; it must not exist, or be empty. */
  readonly folder: string;
  readonly guests: readonly GuestSpec[];
  readonly progress?: (line: string) => void;
}

interface Manifest {
  readonly image: StorageImage;
  readonly group: string;
  readonly guests: readonly (Placed & { readonly ipmiPort: number })[];
}

export class StorageLab {
  private readonly guestsByName: ReadonlyMap<string, StorageGuest>;
  private readonly bmcs: ReadonlyMap<string, IpmiBmc>;

  constructor(
    readonly folder: string,
    private readonly manifest: Manifest,
    private readonly progress: (line: string) => void,
  ) {
    this.guestsByName = new Map(manifest.guests.map((g) => [g.spec.name, new StorageGuest(folder, g)]));
    this.bmcs = new Map(
      manifest.guests.map(({ spec, ipmiPort }) => [
        spec.name,
        new IpmiBmc({ lab: folder, host: spec.name, port: ipmiPort, username: USERNAME }),
      ]),
    );
  }

  get guests(): readonly StorageGuest[] {
    return [...this.guestsByName.values()];
  }

  /** For `ssh -F`: every guest by its name, one shared connection each. */
  get sshConfig(): string {
    return join(this.folder, 'ssh_config');
  }

  /** All that a saved state depends on, besides QEMU itself. */
  get shape(): string {
    const { image, guests } = this.manifest;
    const addresses = addressesOf(guests);
    return [image.key, ...guests.map((placed) => machineShape(placed, addresses))].join('\n');
  }

  /** For libvirt: the address of a host's daemon, through the lab's own ssh. */
  libvirtUri(name: string): string {
    return `qemu+ssh://${this.guest(name).name}/system?command=${join(this.folder, 'ssh')}&no_tty=1`;
  }

  guest(name: string): StorageGuest {
    const guest = this.guestsByName.get(name);
    if (guest === undefined)
      throw new RangeError(
        `the lab has no guest ${name}; it has ${[...this.guestsByName.keys()].join(', ')}`,
      );
    return guest;
  }

  /** Its power switch by IPMI; `start` it first. */
  bmc(name: string): IpmiBmc {
    const bmc = this.bmcs.get(this.guest(name).name);
    if (bmc === undefined) throw new RangeError(`guest ${name} has no BMC`);
    return bmc;
  }

  /** Powers on whoever is off, from cold. Done when everybody is ready. Idempotent. */
  async up(names: readonly string[] = [...this.guestsByName.keys()]): Promise<void> {
    this.progress(`booting ${names.join(', ')}`);
    await Promise.all(names.map((name) => this.guest(name).powerOn()));
    for (const name of names) {
      const seconds = await this.guest(name).ready();
      this.progress(`${name} is ready, ${seconds} s after its kernel began`);
    }
  }

  async bmcsUp(): Promise<void> {
    await Promise.all([...this.bmcs.values()].map((bmc) => bmc.start()));
  }

  /** Everybody as they were at one moment, memory and disks, into a folder of their own. Afterwards the lab is off. */
  async save(folder: string): Promise<void> {
    const part = `${folder}.part`;
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { recursive: true });
    const on = await this.running();
    await Promise.all(on.map((guest) => guest.pause()));
    for (const guest of on) await guest.writeState(join(part, `${guest.name}.state`));
    await this.off();
    for (const guest of this.guests)
      for (const disk of disksOf(guest.spec))
        await copySparse(join(guest.folder, disk), join(part, `${guest.name}-${disk}`));
    writeFileSync(join(part, 'guests'), on.map(({ name }) => name).join('\n'));
    rmSync(folder, { recursive: true, force: true });
    renameSync(part, folder);
  }

  /** Back to what `save` wrote. Whoever is named in `except` stays off, as after a power cut at that moment. */
  async restore(folder: string, except: readonly string[] = []): Promise<void> {
    await this.off();
    for (const guest of this.guests)
      for (const disk of disksOf(guest.spec))
        await copySparse(join(folder, `${guest.name}-${disk}`), join(guest.folder, disk));
    const saved = readFileSync(join(folder, 'guests'), 'utf8').split('\n');
    const back = saved.filter((name) => !except.includes(name)).map((name) => this.guest(name));
    await Promise.all(back.map((guest) => guest.readState(join(folder, `${guest.name}.state`))));
    await Promise.all(back.map((guest) => guest.goOn()));
    await Promise.all(back.map((guest) => guest.answers()));
  }

  /** Pulls everybody's plug. Idempotent. */
  async off(): Promise<void> {
    await Promise.all(this.guests.map((guest) => guest.powerOff()));
  }

  /** Ends and removes everything that the lab consists of. Idempotent. */
  async down(): Promise<void> {
    await removeStorageLab(this.folder);
  }

  private async running(): Promise<StorageGuest[]> {
    const states = await Promise.all(
      this.guests.map(async (guest) => ({ guest, state: await guest.state() })),
    );
    return states.filter(({ state }) => state === 'on').map(({ guest }) => guest);
  }
}

/** Makes the folder, the disks and the machines. Nothing runs yet: call `up` or `restore`. @throws when a lab is there already. */
export async function createStorageLab(options: StorageLabOptions): Promise<StorageLab> {
  const { folder, guests } = options;
  const progress = options.progress ?? ((): void => undefined);
  checkLabFolder(folder);
  const image = await storageImage(progress);
  makeLabFolder(folder);
  if (readdirSync(folder).length > 0)
    throw new Error(`${folder} is not empty: choose another folder for the lab`);
  const manifest = await plan(folder, image, guests);
  writeFileSync(join(folder, MANIFEST), JSON.stringify(manifest, undefined, 2));
  copyFileSync(labFile('storage/switch'), join(folder, 'host'));
  chmodSync(join(folder, 'host'), 0o755);
  const addresses = addressesOf(manifest.guests);
  for (const placed of manifest.guests) await furnish(image, placed, addresses, manifest.group);
  writeWayIn(folder, image, manifest);
  return new StorageLab(folder, manifest, progress);
}

/** A lab that is there, whoever made it. @throws when there is none. */
export function openStorageLab(
  folder: string,
  progress: (line: string) => void = () => undefined,
): StorageLab {
  const file = join(folder, MANIFEST);
  if (!existsSync(file)) throw new Error(`there is no storage lab in ${folder}`);
  return new StorageLab(folder, JSON.parse(readFileSync(file, 'utf8')) as Manifest, progress);
}

/** Ends and removes a lab, also one whose creator died. Idempotent. @returns whether there was one. */
export async function removeStorageLab(folder: string): Promise<boolean> {
  if (!existsSync(join(folder, MANIFEST))) return false;
  writeFileSync(join(folder, 'down'), '');
  const lab = openStorageLab(folder);
  for (const { folder: place } of lab.guests) {
    const bmc = readRecord(join(place, 'bmc/ipmi/process'));
    if (bmc !== undefined) await endProcess(bmc);
  }
  await lab.off();
  rmSync(folder, { recursive: true, force: true });
  return true;
}

async function plan(folder: string, image: StorageImage, guests: readonly GuestSpec[]): Promise<Manifest> {
  const taken = new Set<number>();
  const port = async (): Promise<number> => {
    const free = await freePort(taken);
    taken.add(free);
    return free;
  };
  const placed: (Placed & { ipmiPort: number })[] = [];
  for (const [at, spec] of guests.entries()) {
    const place = { spec, folder: join(folder, spec.name), address: `10.77.0.${11 + at}` };
    const ports = { sshPort: await port(), ipmiPort: await port() };
    placed.push({ ...place, ...ports, ...(spec.role === 'server' && { statdPort: await port() }) });
  }
  // A group and port of its own, so that two labs on one machine are on two networks.
  const group = `239.77.${randomInt(256)}.${randomInt(256)}:${await port()}`;
  return { image, group, guests: placed };
}

async function furnish(
  image: StorageImage,
  placed: Placed,
  addresses: Readonly<Record<string, string>>,
  group: string,
): Promise<void> {
  const { folder, spec } = placed;
  mkdirSync(join(folder, 'bmc/ipmi/state'), { recursive: true });
  writeFileSync(join(folder, 'bmc/ipmi/password'), randomBytes(8).toString('hex'), { mode: 0o600 });
  writeFileSync(join(folder, 'qemu'), machineScript(image, placed, addresses, group));
  await copySparse(join(image.folder, 'keep.ext4'), join(folder, 'keep.raw'));
  for (const { name, mebibytes } of spec.disks ?? []) {
    writeFileSync(join(folder, `${name}.raw`), '');
    truncateSync(join(folder, `${name}.raw`), mebibytes * 1024 * 1024);
  }
}

/** ssh as an operator has it: names, keys and known hosts in a file, one kept connection per guest. */
function writeWayIn(folder: string, image: StorageImage, { guests }: Manifest): void {
  copyFileSync(join(image.folder, 'id'), join(folder, 'id'));
  chmodSync(join(folder, 'id'), 0o600);
  const hostKey = readFileSync(join(image.folder, 'host_key.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
  writeFileSync(
    join(folder, 'known_hosts'),
    guests.map((g) => `[127.0.0.1]:${g.sshPort} ${hostKey}\n`).join(''),
  );
  const all = [
    'Host *',
    '  HostName 127.0.0.1',
    '  User root',
    `  IdentityFile ${join(folder, 'id')}`,
    '  IdentitiesOnly yes',
    `  UserKnownHostsFile ${join(folder, 'known_hosts')}`,
    '  GlobalKnownHostsFile /dev/null',
    '  BatchMode yes',
    '  LogLevel ERROR',
    '  ConnectTimeout 20',
    '  ServerAliveInterval 2',
    '  ServerAliveCountMax 5',
    '  ControlMaster auto',
    `  ControlPath ${join(folder, 'way-%n')}`,
    '  ControlPersist 120',
    // Encryption under emulation is what a first contact costs.
    '  KexAlgorithms curve25519-sha256',
  ];
  const each = guests.map((g) => `Host ${g.spec.name}\n  Port ${g.sshPort}\n`);
  writeFileSync(join(folder, 'ssh_config'), [...each, ...all, ''].join('\n'));
  writeFileSync(join(folder, 'ssh'), `#!/bin/sh\nexec ssh -F '${join(folder, 'ssh_config')}' "$@"\n`);
  chmodSync(join(folder, 'ssh'), 0o755);
}

const addressesOf = (guests: readonly Placed[]): Record<string, string> =>
  Object.fromEntries(guests.map((g) => [g.spec.name, g.address]));

const disksOf = (spec: GuestSpec): string[] => [
  'keep.raw',
  ...(spec.disks ?? []).map(({ name }) => `${name}.raw`),
];

const copySparse = (from: string, to: string): Promise<string> =>
  runOrThrow('cp', ['--sparse=always', '--reflink=auto', from, to], { timeoutMs: COPY_MS });
