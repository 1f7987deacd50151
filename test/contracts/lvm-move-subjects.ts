/** Moves of disks between files and logical volumes, on a machine with a kernel, LVM, libvirt and QEMU of its own. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLibvirtVolumeMoves } from '../../drivers/libvirt';
import { createMovedVolumes } from '../../drivers/lvm';
import type { Pool } from '../../domain/fleet';
import { type HostId, poolId, vmId } from '../../domain/ids';
import { makeBeatDisk } from '../../lab/guest/disk';
import { domainXml } from '../../lab/guest/domain-xml';
import { testGateway } from '../support/driver-lab';
import { elsewhere, lvmHost, type LvmHost, lvmPool } from '../support/lvm-host';
import { eventually, type Opened } from './contract';
import type { MovableVm, VolumeMovesSubject } from './move-protocol';

const filesPool = poolId('files');
const folder = '/keep/disks';
const startMs = 120_000;
/** Everything is emulated twice. */
const patientDeadlines = { readMs: 20_000, listMs: 20_000 };

/** Where the disks of `newVm` are; they go to the other kind. */
export type From = 'file' | 'volume';

export interface LvmMoves extends Opened<VolumeMovesSubject> {
  readonly subject: VolumeMovesSubject;
  /** Whether another host is declared to use the group as well. */
  shareGroup(shared: boolean): void;
  reset(): Promise<void>;
}

/** Closes what it opened, and not the host. */
export function openLvmMoves(host: LvmHost, from: From): LvmMoves {
  const gateway = testGateway();
  const pools: Pool[] = [
    { id: filesPool, type: 'dir', path: folder, lockStrategy: 'none' },
    { id: lvmPool, type: 'lvm', path: '/dev/vmvg', lockStrategy: 'none' },
  ];
  let groupHosts: readonly HostId[] = [lvmHost];
  const port = createLibvirtVolumeMoves({
    ...{ gateway, pools, runScript: host.runScript, deadlines: patientDeadlines },
    volumes: createMovedVolumes(host.runScript),
    hosts: [{ id: lvmHost, uri: host.lab.libvirtUri('lvm') }],
    clusterOf: () => [lvmHost],
    hostsOf: (pool) => (pool === lvmPool ? groupHosts : [lvmHost]),
    poolOf: (path) =>
      path.startsWith('/dev/vmvg/') ? lvmPool : path.startsWith(`${folder}/`) ? filesPool : undefined,
  });
  const subject: VolumeMovesSubject = {
    ...{ port, target: from === 'file' ? lvmPool : filesPool },
    newVm: (state, disks = 1) => newVm(host, from, state, disks),
    world: {
      ...lookingAt(host),
      isOn: (path, pool) => Promise.resolve(path.startsWith(pool === lvmPool ? '/dev/vmvg/' : `${folder}/`)),
      fillTarget: async () => {
        await host.run('lvcreate -q -y -Wn -Zn -n filler -l 100%FREE vmvg');
      },
      setManner: notHere,
      endMoves: notHere,
      begun: async ({ name }) => {
        const list = from === 'file' ? 'lvs --noheadings -o lv_name vmvg' : `ls ${folder}`;
        return Number(await host.run(`${list} | grep -c '${from === 'file' ? 'vm-' : ''}${name}-vd' || :`));
      },
      silenceHost: notHere,
      powerOff: () => host.guest.powerOff(),
    },
  };
  const close = async (): Promise<void> => {
    await port.close();
    await gateway.close();
  };
  return {
    ...{ subject, close },
    shareGroup: (shared) => void (groupHosts = shared ? [lvmHost, elsewhere] : [lvmHost]),
    reset: () => reset(host),
  };
}

const notHere = (): Promise<never> => Promise.reject(new Error('this machine cannot arrange it'));

async function reset(host: LvmHost): Promise<void> {
  await host.run(
    [
      'for vm in $(virsh -q list --name); do virsh -q destroy $vm; done',
      'for vm in $(virsh -q list --all --name); do virsh -q undefine $vm; done',
      `rm -rf ${folder} /run/vmedic; mkdir -p ${folder}`,
      `for lv in $(lvs --noheadings -o lv_name -S 'lv_name=~"^(vm-|case-|disk-|filler)"' vmvg); do lvs vmvg/$lv >/dev/null 2>&1 || continue; lvchange -an vmvg/$lv; lvremove -q -y vmvg/$lv; done`,
    ].join('; '),
  );
}

const lookingAt = (host: LvmHost) => ({
  // As an operator would ask: what the next start opens.
  filesOf: async ({ name }: MovableVm): Promise<string[]> =>
    (await host.run(`virsh -q domblklist ${name} --inactive --details`))
      .split('\n')
      .flatMap((line) => /\sdisk\s+\S+\s+(\/.*\S)\s*$/.exec(line)?.[1] ?? []),
  exists: async (path: string): Promise<boolean> =>
    (await host.guest.try(path.startsWith('/dev/') ? `lvs ${path}` : `test -e ${path}`)).code === 0,
  /** A volume that is not active is so again afterwards. */
  contentOf: async (path: string): Promise<string> => {
    const format = path.endsWith('.qcow2') ? 'qcow2' : 'raw';
    const sum = `qemu-img convert -U -f ${format} -O raw ${path} /keep/sum-$$.raw && sha256sum </keep/sum-$$.raw; rm -f /keep/sum-$$.raw`;
    if (!path.startsWith('/dev/')) return (await host.run(sum)).trim();
    const was = (await host.run(`lvs --noheadings -o lv_active ${path}`)).trim();
    const said = await host.run(`lvchange -ay ${path} && ${sum}`);
    if (was !== 'active') await host.run(`lvchange -an ${path}`);
    return said.trim();
  },
  runs: async ({ name }: MovableVm): Promise<boolean> =>
    (await host.run(`virsh -q domstate ${name}`)).trim() === 'running',
  unregister: async ({ name }: MovableVm): Promise<void> => {
    await host.run(`virsh -q undefine ${name}`);
  },
  unlink: async (path: string): Promise<void> => {
    await host.run(path.startsWith('/dev/') ? `lvchange -an ${path}; lvremove -q -y ${path}` : `rm ${path}`);
  },
});

let count = 0;

/** Files are qcow2, so that a move changes the format as well; volumes carry the tag of those that VMedic makes, and are inactive. */
async function newVm(
  host: LvmHost,
  from: From,
  state: 'running' | 'stopped',
  disks: number,
): Promise<MovableVm> {
  count += 1;
  const name = `case-${count}`;
  const uuid = randomUUID();
  const paths: string[] = [];
  for (let n = 0; n < disks; n += 1) paths.push(await newDisk(host, from, `${name}-${n}`));
  const format = from === 'file' ? 'qcow2' : 'raw';
  const serial = `/keep/${name}.log`;
  const [first = '', ...more] = paths;
  const own = domainXml({ name, uuid, disk: first, format, serial });
  const disk = /<disk [\s\S]*?<\/disk>/.exec(own)?.[0] ?? '';
  const further = more.map((path, n) => disk.replace(first, path).replace('vda', `vd${'bcd'[n] ?? ''}`));
  await put(host, `/keep/${name}.xml`, own.replace('</disk>', `</disk>${further.join('')}`));
  await host.run(`virsh -q define /keep/${name}.xml`);
  if (state === 'running') {
    if (from === 'volume') for (const path of paths) await host.run(`lvchange -ay ${path}`);
    await host.guest.run(`virsh -q start ${name}`, startMs);
    await eventually(startMs, async () => Number(await host.run(`grep -ac VMEDIC-BEAT ${serial} || :`)) > 0);
  }
  const devices = paths.map((_, n) => `vd${'abcd'[n] ?? ''}`);
  return { vmId: vmId(uuid), hostId: lvmHost, name, disks: devices };
}

async function newDisk(host: LvmHost, from: From, name: string): Promise<string> {
  const made = mkdtempSync(join(tmpdir(), 'vmedic-make-'));
  try {
    await makeBeatDisk(join(made, 'disk'), from === 'file' ? 'qcow2' : 'raw', { ticks: 18 });
    const file = from === 'file' ? `${folder}/${name}.qcow2` : `/keep/${name}.raw`;
    await host.guest.put(join(made, 'disk'), file);
    if (from === 'file') return file;
    await host.run(
      `lvcreate -q -y -Wn -Zn -L 4M -n ${name} --addtag vmedic.made-for-a-case vmvg && dd if=${file} of=/dev/vmvg/${name} conv=fsync status=none && lvchange -an vmvg/${name}; rm ${file}`,
    );
    return `/dev/vmvg/${name}`;
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

async function put(host: LvmHost, path: string, text: string): Promise<void> {
  const made = mkdtempSync(join(tmpdir(), 'vmedic-make-'));
  try {
    writeFileSync(join(made, 'file'), text);
    await host.guest.put(join(made, 'file'), path);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}
