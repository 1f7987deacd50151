export { createGuestRepair, type GuestRepairOptions } from './guest-repair';
export {
  type CommandDeadlines,
  commandDeadlines,
  createHostCommands,
  type HostCommands,
  type HostCommandsOptions,
} from './host-commands';
export type { HostTransport } from './transport';
