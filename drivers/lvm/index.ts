export {
  createLvmStorage,
  type LvmDeadlines,
  lvmDeadlines,
  type LvmOptions,
  type LvmStorage,
} from './lvm-volumes';
export { createMovedVolumes } from './moved-volumes';
