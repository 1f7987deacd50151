import type { Command } from 'commander';
import { defaultDeployment, type VersionState } from '../../deployments';
import { Refusal } from '../../errors';
import { addCommand, type Context, type Program } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { untilSignal } from '../until-signal';
import { checkedInstallation } from './up';

export function addServerCommands(program: Command, state: Program): void {
  addCommand(program, state, {
    usage: 'server',
    summary:
      'the HTTP API, webhooks and metrics, and whoever is to be told of alerts; vmedic up starts one too',
    examples: [
      'vmedic server --config /etc/vmedic/vmedic.yaml',
      'curl -H "Authorization: Bearer $(cat token)" http://127.0.0.1:7780/v1/status',
    ],
    run: server,
  });
  addCommand(program, state, {
    usage: 'setup',
    summary:
      'make a Temporal namespace and an inventory ready: namespace, search attributes, tables, the version of the workers; safe to run again',
    examples: ['TEMPORAL_ADDRESS=temporal:7233 vmedic setup --config /etc/vmedic/vmedic.yaml'],
    run: setup,
  });
}

/** The two servers that this part of VMedic needs. @throws Refusal that names the one that is missing. */
async function places(context: Context, part: string) {
  const { access, installation } = await checkedInstallation(context);
  const temporal = access.temporalSettings(installation, context.io.env);
  const inventoryUrl = access.inventoryUrl(installation, context.io.env);
  if (temporal === undefined || inventoryUrl === undefined)
    throw new Refusal(
      'unreachable',
      'NOT_RUNNING',
      `${part} needs a Temporal server and an inventory, and ${installation.configPath} names no ${temporal === undefined ? 'server' : 'inventory'}`,
      'set TEMPORAL_ADDRESS and inventory.url; or run everything here: vmedic up',
    );
  return { installation, temporal, inventoryUrl };
}

async function server(context: Context): Promise<ExitCode> {
  const { env } = context.io;
  const found = await places(context, 'The API');
  const { openLog } = await import('../../../workers/open-log');
  const { startApi } = await import('../../../workers/api-server');
  const stop = untilSignal();
  try {
    const api = await startApi({ ...found, log: openLog(env), env });
    context.out.note(`The API answers on ${api.url}`);
    await stop.signalled;
    await api.stop();
    context.out.result({ ended: true, url: api.url }, 'The API has ended.');
    return exitCodes.done;
  } finally {
    stop.stop();
  }
}

const stateText: Readonly<Record<VersionState, string>> = {
  current: 'current',
  draining: 'needed until the runs that began on it are over',
  drained: 'may be ended',
  waiting: 'not current',
};

async function setup(context: Context): Promise<ExitCode> {
  const { installation, temporal, inventoryUrl } = await places(context, 'Setting up');
  const { setUp } = await import('../../../workers/set-up');
  const { version } = await import('../../../workers/version');
  const done = await setUp(
    temporal,
    inventoryUrl,
    (line) => context.out.note(line),
    installation.config.temporal?.workerVersions === true
      ? { deploymentName: defaultDeployment, buildId: version() }
      : undefined,
  );
  const made = [
    `namespace ${temporal.namespace} (${done.namespace})`,
    `search attributes (${done.searchAttributes.length === 0 ? 'there already' : `made: ${done.searchAttributes.join(', ')}`})`,
    'the inventory has the tables of this version',
    ...(done.versions ?? []).map(({ buildId, state }) => `workers ${buildId}: ${stateText[state]}`),
  ];
  context.out.result(done, `Ready: ${made.join('; ')}.`);
  return exitCodes.done;
}
