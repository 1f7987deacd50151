/** Definitions of many VMs by one virsh child: 84 ms for 100, against 1 s with a child each. */
import type { ReadDefinition } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { VmId } from '../../domain/ids';
import type { ObservedVm } from '../../domain/observations';
import type { HostConnection } from './connection';
import { type PoolOf, shapeOf } from './domain-xml';
import { errorSentence, noSuchDomain, parseUuids } from './virsh-text';

/** Keeps the command line far below the kernel's limit of 128 KiB for one argument. */
const vmsPerChild = 400;
const perVmMs = 20;

/**
 * The definition a VM would be started from: the inactive one. Of a transient VM libvirt gives the live one in the same, startable form.
 * Throws `LIST_INCOMPLETE` when a VM that is still listed could not be read.
 */
export async function readDefinitions(
  connection: HostConnection,
  wanted: readonly VmId[] | undefined,
  deadlineMs: number,
  poolOf: PoolOf,
  signal: AbortSignal,
): Promise<ReadDefinition[]> {
  const { vms } = await connection.snapshot(signal);
  const asked = wanted === undefined ? vms : vms.filter((v) => wanted.includes(v.vmId));
  const found: ReadDefinition[] = [];
  for (let at = 0; at < asked.length; at += vmsPerChild)
    found.push(
      ...(await readSome(connection, asked.slice(at, at + vmsPerChild), deadlineMs, poolOf, signal)),
    );
  return found;
}

async function readSome(
  connection: HostConnection,
  vms: readonly ObservedVm[],
  deadlineMs: number,
  poolOf: PoolOf,
  signal: AbortSignal,
): Promise<ReadDefinition[]> {
  const commands = [...vms.map((v) => `dumpxml --inactive --security-info ${v.vmId}`), 'list --all --uuid'];
  const answer = await connection.read(commands, { deadlineMs: deadlineMs + perVmMs * vms.length }, signal);
  if (answer.kind !== 'answered') throw connection.unreachable(answer, signal);
  const serious = answer.errors.split('\n').filter((line) => line.trim() !== '' && !noSuchDomain.test(line));
  const stillThere = parseUuids(answer.sections.at(-1) ?? '');
  return vms.flatMap((vm, n): ReadDefinition[] => {
    const text = answer.sections[n] ?? '';
    if (text !== '') return [read(connection, vm, text, poolOf)];
    // Vanished meanwhile, by a complete list read after it. Anything else is a reading that failed.
    if (serious.length === 0 && !stillThere.has(vm.vmId)) return [];
    throw new DriverFault('LIST_INCOMPLETE', {
      host: connection.host,
      detail: `the definition of ${vm.name} could not be read: ${errorSentence(answer.errors)}`,
    });
  });
}

function read(connection: HostConnection, vm: ObservedVm, text: string, poolOf: PoolOf): ReadDefinition {
  try {
    return {
      vmId: vm.vmId,
      name: vm.name,
      persistent: vm.persistent,
      autostart: vm.autostart ?? false,
      text,
      shape: shapeOf(text, poolOf),
    };
  } catch (cause) {
    throw new DriverFault(
      'LIST_INCOMPLETE',
      { host: connection.host, detail: `the definition of ${vm.name} is not understood: ${String(cause)}` },
      { cause },
    );
  }
}
