/** What a request came to: told at once, or followed live to its end. */
import type { Ending, RunRef, RunResult, StartAnswer } from '../answers';
import { follow } from '../follow';
import type { Context } from './command';
import { exitCodes, type ExitCode } from './exit-codes';
import { incidentStanding, timelineLine } from './show';
import type { Session } from './session';

/** Reports a start's answer and, where asked, follows it; returns the command's exit code. */
export async function conclude(context: Context, answer: StartAnswer): Promise<ExitCode> {
  const session = await context.session();
  const link = await linkTo(session, answer);
  const document = { ...answer, ...(link !== undefined && { link }) };
  if (answer.answer === 'busy') return busy(context, answer, document);
  if (answer.answer === 'same' && !answer.open) return alreadyClosed(context, session, answer, document);
  const show = `vmedic incident show ${answer.incidentId}`;
  const rehearsal = answer.answer === 'started' && answer.rehearsal;
  if (context.flags['wait'] !== true && !rehearsal) {
    const said = answer.answer === 'started' ? 'started' : answer.sentence;
    context.out.result(
      document,
      `Incident ${answer.incidentId}: ${said}\n  follow it:  vmedic incident watch ${answer.incidentId}\n  timeline:   ${show}`,
    );
    return exitCodes.done;
  }
  context.out.note(
    answer.answer === 'started' && answer.rehearsal
      ? 'Rehearsal: everything is read, nothing is touched'
      : `Incident ${answer.incidentId}: ${answer.answer === 'started' ? 'started' : answer.sentence}`,
  );
  const ending = await followLive(context, session, answer);
  context.out.result({ ...document, ending }, endingText(context, ending, answer));
  return codeOf(ending);
}

/** Follows a run, each timeline entry as a line of progress. */
export async function followLive(
  context: Context,
  session: Session,
  run: RunRef,
  throughWaiting = false,
): Promise<Ending> {
  const { client } = await session.temporal();
  let begunAt: string | undefined;
  return follow({ client, inventory: session.inventory }, run, {
    throughWaiting,
    onEntry: (entry) => {
      begunAt ??= entry.at;
      context.out.note(timelineLine(context.out, entry, begunAt));
    },
    onIncident: (incident) => context.out.status(`${incidentStanding(incident)}: ${incident.summary}`),
    onOutage: (sentence) => context.out.note(context.out.paint.yellow(sentence)),
  });
}

function busy(
  context: Context,
  answer: Extract<StartAnswer, { answer: 'busy' }>,
  document: object,
): ExitCode {
  const { out } = context;
  const link =
    'link' in document
      ? `\n  run:   ${String(document.link)}`
      : `\n  run:   ${answer.workflowId}${answer.runId === undefined ? '' : ` (${answer.runId})`}`;
  const next =
    answer.incidentId === undefined
      ? ''
      : `\n  ${out.paint.dim('next:')} vmedic incident show ${answer.incidentId}`;
  if (out.json) out.result(document, '');
  out.note(
    `${out.paint.red('busy:')} ${answer.workflowId} is being worked on by ${answer.type} since ${answer.since}: ${answer.summary}${link}${next}`,
  );
  return exitCodes.refused;
}

async function alreadyClosed(
  context: Context,
  session: Session,
  answer: Extract<StartAnswer, { answer: 'same' }>,
  document: object,
): Promise<ExitCode> {
  const incident = await session.inventory.incident(answer.incidentId);
  const summary = incident === undefined ? '' : `: ${incident.summary}`;
  context.out.result(
    { ...document, incident },
    `Incident ${answer.incidentId}: ${answer.sentence}${summary}\n  timeline:  vmedic incident show ${answer.incidentId}`,
  );
  return incident?.outcome === undefined ||
    ['recovered', 'dismissed', 'rehearsed', 'moved'].includes(incident.outcome)
    ? exitCodes.done
    : exitCodes.partly;
}

/** Where to look at the run in Temporal's own pages, when it is known where those are. */
export async function linkTo(
  session: Session,
  run: Pick<RunRef, 'workflowId' | 'runId'>,
): Promise<string | undefined> {
  const { settings } = await session.temporal();
  if (settings.uiUrl === undefined) return undefined;
  const at = `${settings.uiUrl}/namespaces/${settings.namespace}/workflows/${encodeURIComponent(run.workflowId)}`;
  return run.runId === undefined ? at : `${at}/${run.runId}`;
}

export function codeOf(ending: Ending): ExitCode {
  if (ending.kind === 'waits') return exitCodes.waits;
  if (ending.kind === 'failed') return ending.type === 'RecoveryStuck' ? exitCodes.waits : exitCodes.partly;
  return wentWell(ending.result) ? exitCodes.done : exitCodes.partly;
}

function wentWell(result: RunResult): boolean {
  if ('outcome' in result) return ['recovered', 'dismissed', 'rehearsed'].includes(result.outcome);
  if ('kind' in result) return ['fenced', 'readmitted', 'rehearsed'].includes(result.kind);
  if (result.phase === 'rehearsed' || result.would.length > 0) return result.fault === undefined;
  return result.phase === 'running' || result.phase === 'moved';
}

function endingText(context: Context, ending: Ending, run: RunRef): string {
  const { paint } = context.out;
  if (ending.kind === 'waits')
    return `${paint.yellow('It waits for a person:')} ${ending.incident.summary}\n  ${paint.dim('next:')} ${ending.incident.nextCommand ?? `vmedic incident show ${run.incidentId}`}`;
  if (ending.kind === 'failed') return failureText(context, ending, run);
  return resultText(context, ending.result);
}

function failureText(
  { out: { paint } }: Context,
  { sentence, vm }: Extract<Ending, { kind: 'failed' }>,
  { type }: RunRef,
): string {
  const head = paint.red(type === 'migrateVolume' ? 'Not moved:' : 'Not recovered:');
  if (vm?.fault === undefined) return `${head} ${sentence}`;
  // The sentence of a run says by itself what comes next; here that has a line of its own.
  const { next } = vm.fault;
  const end = ` Next: ${next}`;
  const alone = sentence.endsWith(end) ? sentence.slice(0, -end.length) : sentence;
  return `${head} ${alone}\n  ${paint.dim('next:')} ${next}`;
}

function resultText({ out: { paint } }: Context, result: RunResult): string {
  const would = 'would' in result ? result.would : [];
  if (would.length > 0)
    return [
      'A real run would, in this order:',
      ...would.map((line, i) => `${String(i + 1).padStart(4)}. ${line}`),
    ].join('\n');
  if ('outcome' in result) {
    const left = result.vms.filter((v) => v.phase !== 'running');
    const lines = left.map(
      (v) =>
        `  ${v.name}: ${v.phase}${v.fault === undefined ? '' : `: ${v.fault.sentence}\n    ${paint.dim('next:')} ${v.fault.next}`}`,
    );
    return [result.sentence, ...lines].join('\n');
  }
  if ('kind' in result) {
    if (result.kind === 'readmitted')
      return [`${result.hostId} takes VMs again`, ...result.did.map((line) => `  ${line}`)].join('\n');
    if (result.kind === 'fenced') return `${result.evidence.hostId} is off (${result.evidence.method})`;
    return 'why' in result ? `not fenced (${result.kind}): ${result.why}` : 'nothing would be done';
  }
  if (!('target' in result)) return result.sentence;
  const where = `${result.name}: ${result.phase}${result.target === undefined ? '' : ` on ${result.target}`}`;
  if (result.fault === undefined) return where;
  return `${where}: ${result.fault.sentence}\n  ${paint.dim('next:')} ${result.fault.next}`;
}
