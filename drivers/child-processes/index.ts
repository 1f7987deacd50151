export {
  type ChildEnd,
  type ChildGateway,
  type ChildRequest,
  type FollowRequest,
  type GatewayOptions,
  openChildGateway,
} from './gateway';
export type { HostScriptEnd, RunOnHost } from './on-host';
