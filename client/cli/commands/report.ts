import { readFileSync, writeFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { Refusal } from '../../errors';
import { knownIncident } from '../../known';
import { fingerprintOf, judgeReport, reportOf, signReport } from '../../report';
import { audited } from '../audited';
import { addCommand, argument, askingOptions, type Context, type Program, text } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';

/** Adds to the group `incident`: what is kept, shown and checked of one. */
export function addReportCommands(incident: Command, state: Program): void {
  addCommand(incident, state, {
    usage: 'acknowledge <incident>',
    summary: 'say that you have seen it: nobody is paged again about what waits now',
    examples: ['vmedic incident acknowledge host-hv-a-1 --reason "on my way to the rack"'],
    options: askingOptions(state.io, 'required'),
    run: acknowledge,
  });
  addCommand(incident, state, {
    usage: 'export <incident>',
    summary: 'the evidence report: record, timeline and evidence, hash-chained and signed',
    examples: ['vmedic incident export host-hv-a-1 --out host-hv-a-1.json'],
    options: [new Option('--out <file>', 'write it to this file instead of stdout')],
    run: exportReport,
  });
  addCommand(incident, state, {
    usage: 'verify <file>',
    summary: 'check an evidence report; needs no config and no server',
    examples: [
      'vmedic incident verify host-hv-a-1.json',
      'vmedic incident verify host-hv-a-1.json --key 3b1f... # the fingerprint that its owner told you',
    ],
    options: [new Option('--key <fingerprint>', 'the key that must have signed it')],
    run: (context) => Promise.resolve(verify(context)),
  });
}

async function acknowledge(context: Context): Promise<ExitCode> {
  const { inventory } = await context.session();
  const { incidentId } = await knownIncident(inventory, argument(context, 0));
  const by = text(context, 'by');
  const count = await audited(context, { action: 'acknowledge', target: incidentId }, () =>
    inventory.acknowledgeAlerts({ incidentId }, by, new Date().toISOString()),
  );
  context.out.result(
    { incidentId, acknowledged: count },
    count === 0
      ? 'Nothing was waiting to be acknowledged.'
      : `${count} alerts acknowledged; nobody is paged again about them.`,
  );
  return exitCodes.done;
}

async function exportReport(context: Context): Promise<ExitCode> {
  const { io } = context;
  const session = await context.session();
  const { openInstallation } = await import('../../../workers/access');
  const { reportKey } = await import('../../../workers/signing-key');
  const report = await reportOf(session.inventory, argument(context, 0));
  const installation = await openInstallation(session.configPath, io.env);
  const signed = signReport(report, reportKey(installation, io.env));
  const fingerprint = fingerprintOf(signed.signature.publicKey);
  const file = context.flags['out'] === undefined ? undefined : text(context, 'out');
  const document = JSON.stringify(signed, undefined, 2);
  if (report.incident.closedAt === undefined)
    context.out.note('The incident is not closed: what happens after this moment is not in the report.');
  context.out.note(`Signed by the key ${fingerprint}`);
  if (file === undefined) {
    context.out.result(signed, document);
    return exitCodes.done;
  }
  writeFileSync(file, `${document}\n`);
  context.out.result(
    { file, entries: report.chain.entries, fingerprint },
    `${report.chain.entries} entries in ${file}\n  check it anywhere:  vmedic incident verify ${file} --key ${fingerprint}`,
  );
  return exitCodes.done;
}

function verify(context: Context): ExitCode {
  const file = argument(context, 0);
  const trusted = context.flags['key'] === undefined ? undefined : text(context, 'key');
  const verdict = judgeReport(read(file), trusted);
  const { out } = context;
  const lines = verdict.ok
    ? [
        out.paint.green(
          `${file}: whole. ${verdict.entries} entries of ${verdict.incidentId ?? ''}, unchanged since they were signed.`,
        ),
        verdict.keyCompared
          ? 'It is signed by the key that you named.'
          : `It is signed by the key ${verdict.fingerprint ?? ''}: compare that with what its owner told you (--key).`,
      ]
    : [out.paint.red(`${file}: not to be relied on.`), ...verdict.problems.map((p) => `  ${p}`)];
  out.result(verdict, lines.join('\n'));
  return verdict.ok ? exitCodes.done : exitCodes.refused;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Refusal('usage', 'NO_SUCH_FILE', `${file} cannot be read (${code ?? 'unknown'})`, undefined, {
      cause,
    });
  }
}
