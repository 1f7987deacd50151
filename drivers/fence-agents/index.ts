export { checkAgentOptions } from './check-options';
export {
  createFenceAgents,
  type FenceAgents,
  type FenceAgentsOptions,
  type FenceDeadlines,
  fenceDeadlines,
  type FenceDeviceSetup,
} from './fencing';
