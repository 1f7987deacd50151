import { describeOnRealHosts } from '../support/real-hosts';
import { runContract } from './contract';
import { hintsContract } from './hints.contract';
import { hypervisorContract } from './hypervisor.contract';
import { openLibvirt } from './lab-subjects';

describeOnRealHosts('on real hosts', () => {
  runContract('hypervisor', 'libvirt', hypervisorContract, openLibvirt, 'suite');
  runContract('hints', 'libvirt', hintsContract, openLibvirt, 'suite');
});
