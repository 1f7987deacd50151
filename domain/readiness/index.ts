export {
  isReadinessAlert,
  isRiskAlert,
  mayBeCured,
  newsAlerts,
  type ReadinessAlert,
  readinessAlerts,
} from './alerts';
export { assessReadiness } from './assess';
export type {
  CommandFact,
  DeviceFact,
  HostFacts,
  HostSurvey,
  ImageSight,
  LockTest,
  MountFact,
  PoolFacts,
  Read,
  ReadinessFacts,
  VmFacts,
  VolumeGroupFact,
} from './facts';
export {
  countOf,
  type Finding,
  type ReadinessCheck,
  readinessChecks,
  type ReadinessReport,
  type VmReadiness,
  type VmVerdict,
} from './report';
