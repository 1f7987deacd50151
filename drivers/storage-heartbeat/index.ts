export {
  createStorageHeartbeats,
  type HeartbeatTimes,
  type StorageHeartbeatOptions,
} from './storage-heartbeat';
