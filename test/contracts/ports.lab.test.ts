import { describeOnRealHosts } from '../support/real-hosts';
import { runContract } from './contract';
import { fencingContract } from './fencing.contract';
import { hostCommandsContract } from './host-commands.contract';
import { openFenceAgents, openHostCommands, openStorageLocks, openVolumes } from './lab-subjects';
import { storageLocksContract } from './storage-locks.contract';
import { volumesContract } from './volumes.contract';

describeOnRealHosts('on real hosts', () => {
  runContract('fencing', 'fence-agents', fencingContract, openFenceAgents('ipmi'), 'suite');
  runContract('fencing', 'fence-agents (Redfish)', fencingContract, openFenceAgents('redfish'), 'suite');
  runContract('hostCommands', 'host-commands', hostCommandsContract, openHostCommands, 'suite');
  runContract('storageLocks', 'directory', storageLocksContract, openStorageLocks, 'suite');
  runContract('volumes', 'directory', volumesContract, openVolumes, 'suite');
});
