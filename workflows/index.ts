/** Every function exported here is a workflow type: names are stable for ever. */
export { checkReadiness } from './check-readiness';
export { fenceHost } from './fence-host';
export { migrateVolume } from './migrate-volume';
export { recoverHost } from './recover-host';
export { readmitHost } from './readmit-host';
export { repairGuest } from './repair-guest';
export { releaseLocks } from './release-locks';
export { restartVm } from './restart-vm';
export { stopVm } from './stop-vm';
export { watchFleet } from './watch-fleet';
