import { describeOnVcenter } from '../support/vcenter';
import { runContract } from './contract';
import { hostCommandsContract } from './host-commands.contract';
import { hypervisorContract } from './hypervisor.contract';
import { storageLocksContract } from './storage-locks.contract';
import { openHostCommands, openStorageLocks, openVolumes } from './vcenter-host-subjects';
import { openHypervisor, openVolumeMoves } from './vcenter-subjects';
import { volumeMovesContract } from './volume-moves.contract';
import { volumesContract } from './volumes.contract';

describeOnVcenter('on a simulated vCenter', () => {
  runContract('volumeMoves', 'vsphere', volumeMovesContract, openVolumeMoves);
  runContract('hypervisor', 'vsphere', hypervisorContract, openHypervisor);
  runContract('hostCommands', 'vsphere', hostCommandsContract, openHostCommands);
  runContract('storageLocks', 'vsphere', storageLocksContract, openStorageLocks);
  runContract('volumes', 'vsphere', volumesContract, openVolumes);
});
