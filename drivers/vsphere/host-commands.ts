/** What must be read on a host, asked of its vCenter: ESXi lets nobody in by default, and vCenter knows most of it. */
import { connect } from 'node:net';
import type { DiskSight, HostCommandsPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { InvariantViolation } from '../../domain/invariant';
import type { VmDisk } from '../../domain/records';
import { type Datastore, datastorePath, datastoresOf, filesIn, folderOf, splitPath } from './datastores';
import { isVimError } from './errors';
import { connectedHost, viewOf } from './host-views';
import { findVm } from './virtual-machines';
import type { Vcenter, Vcenters } from './vcenter';
import { textOf } from './xml';

const tcpConnectMs = 2_000;

export function vsphereHostCommands(vcenters: Vcenters): HostCommandsPort {
  /** A read whose failures are those of the port. */
  const reading = async <T>(
    host: HostId,
    signal: AbortSignal,
    work: (v: Vcenter) => Promise<T>,
  ): Promise<T> => {
    const vcenter = vcenters.of(host);
    try {
      return await vcenter.look(signal, () => work(vcenter));
    } catch (error) {
      if (!(error instanceof DriverFault) || error.fault.code === 'HYPERVISOR_BUSY') throw error;
      throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: error.fault.sentence }, { cause: error });
    }
  };
  return {
    /**
     * The time at which the host booted stands for the id of its boot. Of a host that vCenter does not reach, its own network stack is
     * asked: the second source, without which vCenter's word would be the only one.
     */
    bootId: (host, signal) =>
      reading(host, signal, async (vcenter) => {
        const { link, bootTime } = await viewOf(vcenter, host, signal);
        if (link !== 'connected') return beyondVcenter(vcenter, host, link, signal);
        if (bootTime === undefined)
          throw new DriverFault('HOST_COMMAND_FAILED', {
            host,
            detail: 'vCenter does not know when it booted',
          });
        return { says: 'answers', bootId: bootTime };
      }),

    // Nothing can be run on an ESXi host by way of its vCenter.
    reaches: () => Promise.resolve('not-known'),
    claim: () => Promise.resolve({ says: 'not-known', detail: 'an ESXi host keeps no mark' }),

    inspectDisks: (host, disks, signal) =>
      reading(host, signal, async (vcenter) => {
        const view = await connectedHost(vcenter, host, signal);
        const stores = await datastoresOf(vcenter.session, view.ref, { signal });
        return Promise.all(disks.map((disk) => sightOf(vcenter, stores, disk, signal)));
      }),

    // No console is read, so there is nothing old to be told from new.
    markHealth: () => Promise.resolve({ consoleBytes: 0 }),

    async isHealthy(host, vm, check, _mark, signal) {
      switch (check.kind) {
        case 'tcp':
          return accepts(check.address, check.port, signal);
        case 'guest-agent':
          return reading(host, signal, async (vcenter) => {
            const view = await connectedHost(vcenter, host, signal);
            const ref = await findVm(vcenter.session, vm.vmId, { signal });
            if (ref === undefined) return false;
            const paths = [
              'guestHeartbeatStatus',
              'runtime.host',
              'runtime.connectionState',
              'runtime.powerState',
            ];
            const read = await vcenter.session.retrieveOne(ref, paths, { signal });
            const says = (path: string): string | undefined => textOf(read.get(path));
            // A heartbeat outlives its guest in vCenter's memory.
            return (
              says('guestHeartbeatStatus') === 'green' &&
              says('runtime.powerState') === 'poweredOn' &&
              says('runtime.connectionState') === 'connected' &&
              says('runtime.host') === view.ref.value
            );
          });
        case 'console':
          throw new DriverFault('HOST_COMMAND_FAILED', {
            host,
            detail: 'vCenter shows no console output: give its VMs a health check by guest-agent or tcp',
          });
        case 'running':
          throw new InvariantViolation(
            'a "running" check is answered by the hypervisor, not by a host command',
          );
      }
    },
  };
}

/** ESXi's web services, and what vCenter's agent and consoles use. */
const hostPorts = [443, 902] as const;

async function beyondVcenter(
  vcenter: Vcenter,
  host: HostId,
  link: string,
  signal: AbortSignal,
): Promise<{ says: 'silent' | 'refused'; detail: string }> {
  const address = vcenter.addressOf(host);
  const answers = await Promise.all(hostPorts.map((port) => kernelAnswers(address, port, signal)));
  if (answers.some(Boolean))
    return {
      says: 'refused',
      detail: `vCenter calls it ${link}, and its network stack answers at ${address}`,
    };
  return { says: 'silent', detail: `vCenter calls it ${link}, and nothing answers at ${address}` };
}

async function sightOf(
  vcenter: Vcenter,
  stores: readonly Datastore[],
  { path }: VmDisk,
  signal: AbortSignal,
): Promise<DiskSight> {
  const split = splitPath(datastorePath(path) ?? '');
  const store = stores.find((s) => s.name === split?.datastore);
  if (split === undefined || store === undefined)
    return { path, seen: 'missing', detail: 'the host does not mount its datastore' };
  if (!store.accessible) return { path, seen: 'unreadable', detail: `${store.name} is not accessible` };
  try {
    const files = await filesIn(vcenter.session, store, folderOf(split.path), signal);
    if (files?.some((f) => f.path === split.path) === true) return { path, seen: 'usable' };
    return { path, seen: 'missing', detail: `${store.name} does not list it` };
  } catch (error) {
    if (!isVimError(error)) throw error;
    return { path, seen: 'unreadable', detail: error.message };
  }
}

const accepts = async (host: string, port: number, signal: AbortSignal): Promise<boolean> =>
  (await reached(host, port, signal)) === 'accepted';

/** A connection that is refused was refused by somebody's kernel. */
export const kernelAnswers = async (host: string, port: number, signal: AbortSignal): Promise<boolean> =>
  (await reached(host, port, signal)) !== 'nothing';

function reached(
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<'accepted' | 'refused' | 'nothing'> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve('nothing');
    const socket = connect({ host, port });
    const done = (what: 'accepted' | 'refused' | 'nothing'): void => {
      signal.removeEventListener('abort', giveUp);
      socket.destroy();
      resolve(what);
    };
    const giveUp = (): void => done('nothing');
    signal.addEventListener('abort', giveUp, { once: true });
    socket.setTimeout(tcpConnectMs, giveUp);
    socket.once('connect', () => done('accepted'));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done(error.code === 'ECONNREFUSED' ? 'refused' : 'nothing'),
    );
  });
}
