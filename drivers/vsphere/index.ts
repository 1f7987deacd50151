export { examineVcenters, type HostPools, type VcenterFinding } from './doctor';
export { createVsphere, type Vsphere } from './vsphere';
export type { VcenterSetup, VsphereHost, VsphereOptions } from './vcenter';
