import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Installation } from '../../../workers/access';
import type { RuntimeFile } from '../../../workers/embedded/runtime-file';
import { Refusal } from '../../errors';
import { startInBackground } from '../background';
import { defaultDeployment } from '../../deployments';
import { addCommand, type Context, type Program, text } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { configPath } from '../session';
import { facts } from '../show';
import { untilSignal } from '../until-signal';
import { keepWatched, watchFleet } from '../watched';

const stateDirOption = (): Option =>
  new Option(
    '--state-dir <dir>',
    "where its state is kept (default: VMEDIC_STATE_DIR, the config's stateDir, else below VMEDIC_HOME)",
  );

export function addUpCommands(program: Command, state: Program): void {
  addCommand(program, state, {
    usage: 'up',
    summary:
      'all of VMedic on this machine: Temporal, the inventory, a worker and the API, started again whenever one ends',
    examples: ['vmedic up --config vmedic.yaml', 'vmedic up --detach', 'vmedic up --workers 2'],
    options: [
      stateDirOption(),
      new Option('--detach', 'in the background; vmedic down ends it'),
      new Option('--workers <n>', 'worker processes').default(1).argParser(fewWorkers),
    ],
    run: up,
  });
  addCommand(program, state, {
    usage: 'down',
    summary: 'end what vmedic up started, in order; nothing is lost, and up goes on where it stopped',
    examples: ['vmedic down', 'vmedic down --state-dir /var/lib/vmedic/system'],
    options: [stateDirOption()],
    run: down,
  });
  addCommand(program, state, {
    usage: 'worker',
    summary:
      'one more worker for a Temporal server and an inventory that the config or the environment names',
    examples: [
      'TEMPORAL_ADDRESS=temporal:7233 vmedic worker --config /etc/vmedic/vmedic.yaml',
      'vmedic worker --queue power',
    ],
    options: [
      new Option(
        '--queue <name>',
        'only this work: recoveries (workflows, hypervisors, storage) or power (fence devices); some worker must do each',
      ).choices(['recoveries', 'power']),
    ],
    run: worker,
  });
}

function fewWorkers(value: string): number {
  if (!/^([1-9]|1[0-6])$/.test(value)) throw new InvalidArgumentError('1 to 16');
  return Number(value);
}

/** The config, checked as far as this machine can; warnings are said, mistakes refuse. */
export async function checkedInstallation(context: Context) {
  const { io, flags } = context;
  const access = await import('../../../workers/access');
  const { checkOnMachine } = await import('../../../workers/check-config');
  const { ConfigRefused, problemText } = await import('../../../workers/config');
  const path = await configPath(flags.config, io);
  const loaded = await checkOnMachine(path, io.env);
  if (!loaded.ok) throw new ConfigRefused(loaded.problems);
  for (const warning of loaded.warnings) context.out.note(problemText(warning));
  const flag = flags['stateDir'] === undefined ? undefined : text(context, 'stateDir');
  return { access, installation: await access.openInstallation(path, io.env, flag) };
}

async function up(context: Context): Promise<ExitCode> {
  const { installation } = await checkedInstallation(context);
  const { configPath: path, stateDir } = installation;
  const { isSupervised, readRuntime } = await import('../../../workers/embedded/runtime-file');
  const before = readRuntime(stateDir);
  if (before !== undefined && isSupervised(before)) throw alreadyRuns(stateDir, before);
  if (context.flags['detach'] === true) {
    const runtime = await startInBackground(context, path, stateDir);
    context.out.result(runtime, runsText(context, runtime, stateDir));
    return exitCodes.done;
  }
  return inForeground(context, installation);
}

async function inForeground(context: Context, installation: Installation): Promise<ExitCode> {
  const { AlreadyRuns, startEmbeddedSystem } = await import('../../../workers/embedded/system');
  const { temporalSettings } = await import('../../../workers/access');
  const { config, configPath: path, fleet, stateDir } = installation;
  const stop = untilSignal();
  let stopKeeping = (): void => undefined;
  try {
    const starting = startEmbeddedSystem({
      ...{ config, configPath: path, stateDir, env: context.io.env },
      workers: Number(context.flags['workers']),
      progress: (line) => context.out.note(line),
      onRunning: async (runtime) => {
        const settings = temporalSettings({ ...installation, runtime }, context.io.env);
        if (settings === undefined) return;
        await watchFleet(settings, fleet);
        stopKeeping = keepWatched(
          () => watchFleet(settings, fleet),
          (line) => context.out.note(line),
        );
      },
    });
    const system = await starting.catch((error: unknown) => {
      throw error instanceof AlreadyRuns ? alreadyRuns(stateDir, error.runtime) : error;
    });
    context.out.result(system.runtime, `${runsText(context, system.runtime, stateDir)}\nCtrl-C ends it.`);
    const signal = await stop.signalled;
    stopKeeping();
    context.out.note(`${signal}: ending workers, then the servers`);
    await system.stop();
    return exitCodes.done;
  } finally {
    stopKeeping();
    stop.stop();
  }
}

const alreadyRuns = (stateDir: string, runtime: RuntimeFile): Refusal =>
  new Refusal(
    'refused',
    'ALREADY_RUNS',
    `VMedic runs already in ${stateDir} (process ${runtime.supervisor.pid}, config ${runtime.configPath})`,
    'vmedic status; or vmedic down first; or another folder by --state-dir',
  );

export function runsText({ out }: Context, runtime: RuntimeFile, stateDir: string): string {
  return [
    out.paint.green('VMedic runs.'),
    facts(out, [
      ['config', runtime.configPath],
      [
        'temporal',
        `${runtime.temporal.address}${runtime.temporal.uiUrl === undefined ? '' : `, web: ${runtime.temporal.uiUrl}`}`,
      ],
      ...(runtime.api === undefined
        ? []
        : ([['api', `${runtime.api.url} (vmedic token create NAME --role viewer)`]] as const)),
      ['state', stateDir],
      ['try', `vmedic status --config ${runtime.configPath}`],
    ]),
  ].join('\n');
}

async function down(context: Context): Promise<ExitCode> {
  const access = await import('../../../workers/access');
  const { stopEmbeddedSystem } = await import('../../../workers/embedded/system');
  const flag = context.flags['stateDir'] === undefined ? undefined : text(context, 'stateDir');
  // With the folder named, a config that is broken or gone need not keep anybody from ending the system.
  const stateDir =
    flag ??
    (await access.openInstallation(await configPath(context.flags.config, context.io), context.io.env))
      .stateDir;
  const stopped = await stopEmbeddedSystem(stateDir);
  context.out.result(
    { stopped, stateDir },
    stopped ? `VMedic in ${stateDir} is ended.` : `Nothing runs in ${stateDir}.`,
  );
  return exitCodes.done;
}

async function worker(context: Context): Promise<ExitCode> {
  const { access, installation } = await checkedInstallation(context);
  const { io } = context;
  const temporal = access.temporalSettings(installation, io.env);
  const inventoryUrl = access.inventoryUrl(installation, io.env);
  if (temporal === undefined || inventoryUrl === undefined)
    throw new Refusal(
      'unreachable',
      'NOT_RUNNING',
      `A worker needs a Temporal server and an inventory, and ${installation.configPath} names ${temporal === undefined ? 'no server' : 'no inventory'}`,
      'set TEMPORAL_ADDRESS and inventory.url; or run everything here: vmedic up',
    );
  const { installRuntime, openLog } = await import('../../../workers/log');
  const { runWorker, workerQueues } = await import('../../../workers/worker');
  const queue = workerQueues.find((q) => q === context.flags['queue']);
  const { version } = await import('../../../workers/version');
  const log = openLog(io.env);
  installRuntime(log);
  const watch = (): Promise<void> => watchFleet(temporal, installation.fleet);
  await watch();
  const stopKeeping = keepWatched(watch, (line) => log.warn(line));
  await runWorker({
    config: installation.config,
    configPath: installation.configPath,
    inventoryUrl,
    temporal,
    log,
    ...(queue !== undefined && { queues: [queue] }),
    ...(installation.config.temporal?.workerVersions === true && {
      version: { deploymentName: defaultDeployment, buildId: version() },
    }),
  }).finally(stopKeeping);
  context.out.result({ ended: true }, 'The worker has ended.');
  return exitCodes.done;
}
