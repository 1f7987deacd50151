import type { FencingPort } from '../../../activities/ports';
import { DriverFault } from '../../../domain/faults';
import type { FenceDevice } from '../../../domain/fleet';
import type { HostId } from '../../../domain/ids';
import { limits } from '../../../domain/limits';
import type { CallContext, Served } from '../call-context';
import type { World } from '../world';
import type { DeviceState } from '../world-state';

export function fencingBody(world: World): Served<FencingPort> {
  return {
    async status(host, device, context) {
      const state = await reach(world, host, device, context);
      return {
        hostId: host,
        deviceId: device.id,
        agent: device.agent,
        power: powerOf(world, state),
        observedAt: world.now(),
      };
    },

    async off(host, device, context) {
      const state = await reach(world, host, device, context);
      if (powerOf(world, state) === 'off') return;
      context.sent = true;
      await context.work(world.costs.fenceMs);
      if (state.mode === 'says-ok') return;
      if (state.mode === 'claims-off') {
        state.claimsOff = true;
        return;
      }
      if (state.mode === 'not-taken')
        throw new DriverFault('FENCE_OFF_NOT_TAKEN', { device: device.id, host, power: 'on' });
      switchOff(world, state);
    },
  };
}

async function reach(
  world: World,
  host: HostId,
  device: FenceDevice,
  context: CallContext,
): Promise<DeviceState> {
  const state = world.devices.get(device.id);
  if (state === undefined) return context.silence('no such device');
  if (state.mode === 'silent') return context.silence('no answer');
  await context.wait(state.delayMs);
  if (state.passwordOk) return state;
  state.loginRefusals += 1;
  const limit = String(limits.fenceLoginRefusalsMax);
  throw new DriverFault('FENCE_LOGIN_REFUSED', { device: device.id, host, limit });
}

function powerOf(world: World, state: DeviceState): 'on' | 'off' {
  if (state.mode === 'claims-off' && state.claimsOff) return 'off';
  if (state.spec.kind === 'feed') return state.feedOn ? 'on' : 'off';
  return world.host(state.spec.wiredTo).power;
}

function switchOff(world: World, state: DeviceState): void {
  const { wiredTo, id } = state.spec;
  state.feedOn = false;
  const feeds = [...world.devices.values()].filter(
    (d) => d.spec.wiredTo === wiredTo && d.spec.kind === 'feed',
  );
  if (state.spec.kind === 'bmc' || feeds.every((f) => !f.feedOn)) world.cutPower(wiredTo, id);
}
