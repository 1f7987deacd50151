export { createNfsAccess } from './nfs-access';
export { createNfsStorage, nfsStrategies, type NfsStorage, type NfsStorageOptions } from './nfs-storage';
export type { NfsClientHost, NfsPool, RunOnServer } from './nfs-pool';
