/** What a start would do, in sentences: every read for real, no act. */
import { fault } from '../domain/faults';
import type { HostId } from '../domain/ids';
import { placement } from '../domain/placement';
import { clusterById, type Environment, recordedVm, signal } from './environment';
import { candidates, wanted } from './plan';
import { permitFor, type StartBasis } from './start-permit';

export interface RehearsedStart {
  readonly comesBack: boolean;
  readonly target: HostId | undefined;
  readonly would: readonly string[];
}

export const rehearseStartActivities = (env: Environment) => ({
  async rehearseStart(
    input: StartBasis & { target: HostId | undefined; assumeOff: HostId | undefined },
  ): Promise<RehearsedStart> {
    const vm = await recordedVm(env, input.vmId);
    const except = input.assumeOff === undefined ? [] : [input.assumeOff];
    const not = (why: string): RehearsedStart => ({
      comesBack: false,
      target: undefined,
      would: [`${vm.name} would NOT come back: ${why}`],
    });
    const hosts = await candidates(env, clusterById(env, vm.clusterId), except, [vm.vmId]);
    const [placed] = placement([wanted(vm, except)], hosts);
    const target = input.target ?? placed?.target;
    if (target === undefined)
      return not(placed !== undefined && placed.target === undefined ? placed.why : 'no host is in service');
    const known = input.assumeOff === undefined ? await permitFor(env, vm, target, input) : undefined;
    if (known !== undefined && 'running' in known) {
      const would = [`${vm.name} runs on ${known.running}: nothing would be done`];
      return { comesBack: true, target: known.running, would };
    }
    if (known !== undefined && 'refused' in known) return not(known.refused.sentence);
    if ((await env.inventory.definition(vm.vmId)) === undefined)
      return not(fault('DEFINITION_NOT_STORED', { vm: vm.name }).sentence);
    const sights = await env.hostCommands.inspectDisks(target, vm.shape.disks, signal());
    const bad = sights.filter((s) => s.seen !== 'usable').map((s) => `${s.path} is ${s.seen} on ${target}`);
    if (bad.length > 0) return not(bad.join('; '));
    const size = `${vm.shape.memoryMiB} MiB, ${vm.shape.vcpus} vCPU`;
    const would = [
      `${vm.name}: would reserve ${size} on ${target}, define it there, start it and read it back`,
    ];
    return { comesBack: true, target, would };
  },
});
