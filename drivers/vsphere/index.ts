export { createVsphere, type Vsphere } from './vsphere';
export type { VcenterSetup, VsphereHost, VsphereOptions } from './vcenter';
