export {
  type ChildEnd,
  type ChildGateway,
  type ChildRequest,
  type GatewayOptions,
  openChildGateway,
} from './gateway';
