import { describeOnRealHosts } from '../support/real-hosts';
import { runContract } from './contract';
import { fencingContract } from './fencing.contract';
import { heartbeatsContract } from './heartbeats.contract';
import { hostCommandsContract } from './host-commands.contract';
import {
  openFenceAgents,
  openHeartbeats,
  openHostCommands,
  openStorageLocks,
  openSurvey,
  openVolumeMoves,
  openVolumes,
} from './lab-subjects';
import { storageLocksContract } from './storage-locks.contract';
import { surveyContract } from './survey.contract';
import { volumeMovesContract } from './volume-moves.contract';
import { volumesContract } from './volumes.contract';

describeOnRealHosts('on real hosts', () => {
  runContract('fencing', 'fence-agents', fencingContract, openFenceAgents('ipmi'), 'suite');
  runContract('fencing', 'fence-agents (Redfish)', fencingContract, openFenceAgents('redfish'), 'suite');
  runContract('hostCommands', 'host-commands', hostCommandsContract, openHostCommands, 'suite');
  runContract('heartbeats', 'storage-heartbeat', heartbeatsContract, openHeartbeats, 'suite');
  runContract('storageLocks', 'directory', storageLocksContract, openStorageLocks, 'suite');
  runContract('survey', 'host-survey', surveyContract, openSurvey, 'suite');
  runContract('volumeMoves', 'libvirt', volumeMovesContract, openVolumeMoves, 'suite');
  runContract('volumes', 'directory', volumesContract, openVolumes, 'suite');
});
