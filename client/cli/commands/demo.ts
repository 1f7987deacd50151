import { InvalidArgumentError, Option, type Command } from 'commander';
import type { DemoDatacenter } from '../../../lab/demo/datacenter';
import { Refusal } from '../../errors';
import { addCommand, type Context, type Program } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { runDemo } from '../demo';
import { untilSignal } from '../until-signal';
import { removeEverything, writeConfig } from './lab';

export function addDemoCommand(program: Command, state: Program): void {
  addCommand(program, state, {
    usage: 'demo',
    summary:
      'the whole of it on this machine: cut the power of a host, see its VMs come back, and check the world',
    examples: ['vmedic demo', 'DATACENTER=simulated vmedic demo', 'vmedic demo --hosts 4 --vms 20'],
    options: [
      new Option('--hosts <n>', 'hosts').default(3).argParser(atLeast(2)),
      new Option('--vms <n>', 'VMs').default(10).argParser(atLeast(1)),
    ],
    run: demo,
  });
}

const atLeast =
  (least: number) =>
  (value: string): number => {
    if (!/^\d+$/.test(value) || Number(value) < least)
      throw new InvalidArgumentError(`a whole number from ${least}`);
    return Number(value);
  };

interface Choice {
  readonly kind: 'kvm' | 'simulated';
  readonly why: string;
}

/** `DATACENTER`, else real hosts wherever they can be had. */
async function choose(context: Context): Promise<Choice> {
  const wanted = context.io.env['DATACENTER'] ?? '';
  if (wanted === 'simulated') return { kind: 'simulated', why: 'DATACENTER=simulated asks for it' };
  if (wanted !== '' && wanted !== 'kvm')
    throw new Refusal(
      'usage',
      'UNKNOWN_DATACENTER',
      `There is no datacenter "${wanted}"`,
      'DATACENTER=kvm or DATACENTER=simulated',
    );
  const { labAvailability } = await import('../../../lab/availability');
  const answer = await labAvailability();
  if (answer.available)
    return {
      kind: 'kvm',
      why: wanted === 'kvm' ? 'DATACENTER=kvm asks for them' : 'this machine has all they need',
    };
  if (wanted === 'kvm')
    throw new Refusal(
      'usage',
      'NO_REAL_HOSTS',
      `Real hosts cannot be had here: ${answer.why}`,
      `${answer.cure}; or DATACENTER=simulated`,
    );
  return {
    kind: 'simulated',
    why: `${answer.why}. Left out: libvirt, QEMU, BMCs and real disks. For those: ${answer.cure}`,
  };
}

async function demo(context: Context): Promise<ExitCode> {
  const choice = await choose(context);
  const what =
    choice.kind === 'kvm' ? 'real hosts (libvirt, QEMU, IPMI and Redfish BMCs)' : 'a simulated datacenter';
  context.out.note(`Datacenter: ${what}, because ${choice.why}.`);
  const stop = untilSignal();
  let datacenter: DemoDatacenter | undefined;
  try {
    datacenter = await open(context, choice.kind);
    stop.abort.throwIfAborted();
    return await runDemo(context, datacenter, stop.abort);
  } catch (error) {
    if (!stop.abort.aborted) throw error;
    context.out.note('Stopped before its end: nothing was judged.');
    return exitCodes.partly;
  } finally {
    context.out.note('taking everything down');
    await datacenter?.close();
    stop.stop();
  }
}

async function open(context: Context, kind: Choice['kind']): Promise<DemoDatacenter> {
  const { hosts, vms } = context.flags;
  const progress = (line: string): void => context.out.note(`  ${line}`);
  const options = {
    ...{ hosts: Number(hosts), vms: Number(vms), progress },
    remove: (folder: string) => removeEverything(folder, progress),
  };
  if (kind === 'simulated') {
    const { simulatedDatacenter } = await import('../../../workers/simulated-datacenter');
    return simulatedDatacenter(options);
  }
  const { realDatacenter } = await import('../../../lab/demo/real-datacenter');
  return realDatacenter({ ...options, writeConfig });
}
