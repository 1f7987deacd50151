import { runContract } from './contract';
import { fencingContract } from './fencing.contract';
import { guestRepairContract } from './guest-repair.contract';
import { heartbeatsContract } from './heartbeats.contract';
import { hintsContract } from './hints.contract';
import { hostCommandsContract } from './host-commands.contract';
import { hypervisorContract } from './hypervisor.contract';
import { notifierContract } from './notifier.contract';
import {
  inItsOwnProcess,
  inThisProcess,
  openFencing,
  openGuestRepair,
  openHeartbeats,
  openHints,
  openHostCommands,
  openHypervisor,
  openNotifier,
  openStorageAccess,
  openStorageLocks,
  openSurvey,
  openVolumeMoves,
  openVolumes,
} from './simulated-subjects';
import { storageAccessContract } from './storage-access.contract';
import { storageLocksContract } from './storage-locks.contract';
import { surveyContract } from './survey.contract';
import { volumeMovesContract } from './volume-moves.contract';
import { volumesContract } from './volumes.contract';

const here = inThisProcess;
runContract('fencing', 'simulated', fencingContract, openFencing(here));
runContract('hypervisor', 'simulated', hypervisorContract, openHypervisor(here));
runContract('hostCommands', 'simulated', hostCommandsContract, openHostCommands(here));
runContract('storageLocks', 'simulated', storageLocksContract, openStorageLocks(here));
runContract('storageAccess', 'simulated', storageAccessContract, openStorageAccess(here));
runContract('volumes', 'simulated', volumesContract, openVolumes(here));
runContract('volumeMoves', 'simulated', volumeMovesContract, openVolumeMoves(here, 'dir'));
runContract('volumeMoves', 'simulated (by itself)', volumeMovesContract, openVolumeMoves(here, 'vmfs'));
runContract('survey', 'simulated', surveyContract, openSurvey(here));
runContract('hints', 'simulated', hintsContract, openHints(here));
runContract('heartbeats', 'simulated', heartbeatsContract, openHeartbeats(here));
runContract('guestRepair', 'simulated', guestRepairContract, openGuestRepair(here));
runContract('notifier', 'simulated', notifierContract, openNotifier(here));

const there = inItsOwnProcess;
runContract('fencing', 'simulated-process', fencingContract, openFencing(there));
runContract('hypervisor', 'simulated-process', hypervisorContract, openHypervisor(there));
runContract('hostCommands', 'simulated-process', hostCommandsContract, openHostCommands(there));
runContract('storageLocks', 'simulated-process', storageLocksContract, openStorageLocks(there));
runContract('storageAccess', 'simulated-process', storageAccessContract, openStorageAccess(there));
runContract('volumes', 'simulated-process', volumesContract, openVolumes(there));
runContract('volumeMoves', 'simulated-process', volumeMovesContract, openVolumeMoves(there, 'dir'));
runContract('survey', 'simulated-process', surveyContract, openSurvey(there));
runContract('hints', 'simulated-process', hintsContract, openHints(there));
runContract('heartbeats', 'simulated-process', heartbeatsContract, openHeartbeats(there));
runContract('guestRepair', 'simulated-process', guestRepairContract, openGuestRepair(there));
runContract('notifier', 'simulated-process', notifierContract, openNotifier(there));
