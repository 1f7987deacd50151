/** What readiness asks of a host, answered by its vCenter. */
import type { SurveyPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { datastoresOf } from './datastores';
import { connectedHost, haCluster } from './host-views';
import type { Vcenter, Vcenters } from './vcenter';

export function vsphereSurvey(vcenters: Vcenters): SurveyPort {
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
    /** No command is called on an ESXi host, so none can be missing. vSphere HA restarts VMs by itself: it is what a rival is. */
    survey: (host, pools, signal) =>
      reading(host, signal, async (vcenter) => {
        const { ref } = await connectedHost(vcenter, host, signal);
        const [stores, ha] = [
          await datastoresOf(vcenter.session, ref, { signal }),
          await haCluster(vcenter, ref, signal),
        ];
        return {
          ...{ commands: [], statd: true, lvm: undefined },
          rivals: ha === undefined ? [] : [`vSphere HA (cluster ${ha})`],
          mounts: pools.map((pool) => {
            const name = vcenter.datastoreOf(pool.id);
            const store = stores.find((s) => s.name === name && s.accessible);
            return {
              ...{ poolId: pool.id, path: pool.path ?? '', source: name ?? '', fileSystem: 'vmfs' },
              kind: store === undefined ? 'none' : 'mount',
              options: [store?.writable === false ? 'ro' : 'rw'],
              fstabOptions: undefined,
            };
          }),
        };
      }),
    /** ESXi keeps its locks in files that only ESXi honours; no process of ours could hold one. */
    testLocks: (_pool, holder, asker) =>
      Promise.resolve({
        ...{ says: 'not-known', holder, asker },
        detail:
          'ESXi hosts keep their locks among themselves, and nothing but starting a VM twice would try them',
      }),
  };
}
