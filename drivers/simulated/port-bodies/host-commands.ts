import type { DiskSight, HostCommandsPort } from '../../../activities/ports';
import { DriverFault } from '../../../domain/faults';
import type { HostId, VmId } from '../../../domain/ids';
import type { CallContext, Served } from '../call-context';
import type { World } from '../world';

export function hostCommandsBody(world: World): Served<HostCommandsPort> {
  return {
    async bootId(host, context) {
      const state = world.host(host);
      if (!world.answers(state) || state.commands === 'silent') return context.silence('no answer');
      if (state.commands === 'refused') return { says: 'refused', detail: 'connection refused' };
      await context.wait(world.costs.readMs);
      return { says: 'answers', bootId: state.bootId };
    },

    async reaches(via, to, context) {
      const from = world.host(via);
      if (!world.answers(from) || from.commands !== 'reachable') return 'not-known';
      await context.wait(world.costs.readMs);
      const target = world.host(to.hostId);
      return world.isRunning(target) && target.network !== 'cut' ? 'answers' : 'silent';
    },

    async claim(host, owner, silentMsMax, context) {
      const state = world.host(host);
      if (!world.answers(state) || state.commands !== 'reachable')
        return { says: 'not-known', detail: 'no answer' };
      await context.wait(world.costs.readMs);
      const heardMs = state.mark === undefined ? silentMsMax : world.nowMs() - state.mark.atMs;
      if (state.mark !== undefined && state.mark.owner.id !== owner.id && heardMs < silentMsMax)
        return { says: 'theirs', owner: state.mark.owner, heardMs };
      state.mark = { owner, atMs: world.nowMs() };
      return { says: 'ours' };
    },

    async inspectDisks(host, disks, context) {
      await reach(world, host, context);
      return disks.map((disk): DiskSight => {
        const known = world.storage.disks.get(disk.path);
        const sight = known?.sightOn.get(host) ?? known?.sight ?? 'missing';
        if (sight === 'missing') return { path: disk.path, seen: sight, detail: 'no such file' };
        if (sight !== 'usable') return { path: disk.path, seen: sight, detail: `it is ${sight}` };
        if (world.storage.obstacle(disk.path, host) !== undefined)
          return { path: disk.path, seen: 'missing', detail: 'not active' };
        return { path: disk.path, seen: 'usable' };
      });
    },

    async markHealth(host, shape, context) {
      await reach(world, host, context);
      const vm = vmAtConsole(world, shape.consolePath);
      return { consoleBytes: vm === undefined ? 0 : world.consoleBytes(vm) };
    },

    async isHealthy(host, vm, check, mark, context) {
      await reach(world, host, context);
      const process = world.processOf(vm.vmId, host);
      if (process === undefined) return false;
      if (check.kind === 'running') return process.state === 'running';
      if (check.kind === 'console') return world.consoleBytes(vm.vmId) > mark.consoleBytes;
      return world.isHealthy(process);
    },
  };
}

/** Consoles are named after their VM, and names are unique among the VMs that the world began with. */
function vmAtConsole(world: World, path: string | undefined): VmId | undefined {
  return world.spec.vms.find((v) => path?.endsWith(`/${v.name}.log`) === true)?.id;
}

export async function reach(world: World, host: HostId, context: CallContext): Promise<void> {
  const state = world.host(host);
  if (!world.answers(state) || state.commands === 'silent') return context.silence('no answer');
  if (state.commands === 'refused')
    throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: 'connection refused' });
  await context.wait(world.costs.readMs);
}
