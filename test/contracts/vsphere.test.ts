import { describeOnVcenter } from '../support/vcenter';
import { runContract } from './contract';
import { hypervisorContract } from './hypervisor.contract';
import { openHypervisor, openVolumeMoves } from './vcenter-subjects';
import { volumeMovesContract } from './volume-moves.contract';

describeOnVcenter('on a simulated vCenter', () => {
  runContract('volumeMoves', 'vsphere', volumeMovesContract, openVolumeMoves);
  runContract('hypervisor', 'vsphere', hypervisorContract, openHypervisor);
});
