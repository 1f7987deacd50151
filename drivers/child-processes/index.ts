export {
  type ChildEnd,
  type ChildGateway,
  type ChildRequest,
  type ChildTalk,
  type FollowRequest,
  type GatewayOptions,
  type Printed,
  openChildGateway,
} from './gateway';
export type { HostScriptEnd, RunOnHost } from './on-host';
