export {
  createLibvirtHypervisor,
  libvirtConcurrency,
  libvirtDeadlines,
  type LibvirtHypervisor,
  type LibvirtOptions,
} from './hypervisor';
export { type PoolOf, shapeOf } from './domain-xml';
export { createLibvirtVolumeMoves, type LibvirtMovesOptions, type LibvirtVolumeMoves } from './volume-moves';
