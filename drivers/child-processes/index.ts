export {
  type ChildEnd,
  type ChildGateway,
  type ChildRequest,
  type GatewayOptions,
  openChildGateway,
} from './gateway';
export type { HostScriptEnd, RunOnHost } from './on-host';
