/** Three lies in the code that the random incidents must find: if they find none, they prove nothing. */
import type { Ports } from '../../activities/ports';
import type { StartBasis } from '../../activities/restart-vm';
import type { StartPermit } from '../../domain/evidence';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import type { Mutant } from './run-seeds';

let honest: Ports | undefined;
const withPorts = (ports: Ports): Ports => (honest = ports);

/** Starts wherever it is told to, and asks nobody. */
const startWithoutPermit: Mutant = {
  ports: withPorts,
  intercept: async ({ name, input, act }) => {
    if (name !== 'startVm' || honest === undefined) return act();
    const { vmId, target, incidentId } = input as StartBasis & { target: HostId };
    const vm = await honest.inventory.vm(vmId);
    const definition = await honest.inventory.definition(vmId);
    if (vm === undefined || definition === undefined) return act();
    const issuedAt = new Date().toISOString();
    const forged = { vmId, target, incidentId, issuedAt, recordVersion: vm.version, accounts: [] };
    await honest.hypervisor.start(
      forged as unknown as StartPermit,
      definition,
      vm.persistent,
      new AbortController().signal,
    );
    return { kind: 'running' };
  },
};

/** A fence device that does not answer is taken for one that says "off". */
const timeoutReadAsOff: Mutant = {
  ports: (ports) => ({
    ...ports,
    fencing: {
      ...ports.fencing,
      status: async (host, device, signal) => {
        try {
          return await ports.fencing.status(host, device, signal);
        } catch (error) {
          if (!(error instanceof DriverFault) || error.fault.code !== 'FENCE_DEVICE_SILENT') throw error;
          const observedAt = new Date().toISOString();
          return { hostId: host, deviceId: device.id, agent: device.agent, power: 'off', observedAt };
        }
      },
    },
  }),
};

/** What was prepared for a start that did not come is left where it is. */
const undoSkipped: Mutant = {
  intercept: ({ name, act }) => (name === 'withdrawPreparation' ? Promise.resolve(undefined) : act()),
};

export const mutants: Readonly<Record<string, Mutant>> = {
  'a start without a permit': startWithoutPermit,
  'a timeout read as off': timeoutReadAsOff,
  'an undo that is skipped': undoSkipped,
};
