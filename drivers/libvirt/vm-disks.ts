/** A VM's disks on libvirt hosts, read with everything that a verdict needs. */
import type { RunOnHost } from '../child-processes/on-host';
import { DriverFault } from '../../domain/faults';
import type { HostId, VmId } from '../../domain/ids';
import type { ObservedVm } from '../../domain/observations';
import type { HostConnection } from './connection';
import { probeFile } from './copy-scripts';
import { type DiskState, disksOf } from './disk-state';
import { errorSentence } from './virsh-text';

export interface SeenVm {
  readonly hostId: HostId;
  readonly observed: ObservedVm;
  /** What runs; undefined when nothing does. */
  readonly live: readonly DiskState[] | undefined;
  /** What the next start would use; of a transient VM what runs. */
  readonly next: readonly DiskState[];
  readonly text: string;
}

export const isActive = (vm: ObservedVm): boolean => vm.state !== 'shut-off' && vm.state !== 'crashed';

const readMs = 5_000;
export const probeMs = 10_000;

/** Undefined when the host's complete list does not have it. */
export async function readVm(
  connection: HostConnection,
  vmId: VmId,
  signal: AbortSignal,
): Promise<SeenVm | undefined> {
  const { vms } = await connection.snapshot(signal);
  const observed = vms.find((v) => v.vmId === vmId);
  if (observed === undefined) return undefined;
  const commands = [`dumpxml ${vmId}`, `dumpxml --inactive --security-info ${vmId}`];
  const answer = await connection.read(commands, { deadlineMs: readMs }, signal);
  if (answer.kind !== 'answered') throw connection.unreachable(answer, signal);
  const [live = '', next = ''] = answer.sections;
  if (live === '' || next === '')
    throw new DriverFault('LIST_INCOMPLETE', {
      host: connection.host,
      detail: `the definition of ${observed.name} could not be read: ${errorSentence(answer.errors)}`,
    });
  const active = isActive(observed);
  return {
    ...{ hostId: connection.host, observed, text: next, next: disksOf(next) },
    live: active ? disksOf(live) : undefined,
  };
}

export type FileSight = 'absent' | 'free' | 'held';

/** Whether any QEMU has the file open, as seen from this host: elsewhere it is as weak as the locks. */
export async function probe(
  run: RunOnHost,
  host: HostId,
  path: string,
  format: string,
  signal: AbortSignal,
): Promise<FileSight> {
  const { code, stdout } = await run(host, probeFile, [path, format], probeMs, signal);
  const said = stdout.trim();
  if (code === 0 && (said === 'absent' || said === 'free' || said === 'held')) return said;
  throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: `${path} cannot be looked at: ${said}` });
}
