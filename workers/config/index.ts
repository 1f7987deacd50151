export { durationMs, durationText } from './duration';
export { channelName, isLoopback } from './front-checks';
export type { NotifyConfig } from './front-types';
export { fleetOf } from './fleet-of';
export { checkConfig, ConfigRefused, loadConfig, type Loaded, type LoadOptions } from './load';
export { closest, type ConfigProblem, problemText } from './problems';
export { configSchema } from './schema';
export { isSecretReference, resolveSecret, secretOrThrow } from './secrets';
export type {
  ClusterConfig,
  CommandsConfig,
  FenceDeviceConfig,
  HealthConfig,
  HostConfig,
  PoolConfig,
  VcenterConfig,
  VmedicConfig,
} from './types';
