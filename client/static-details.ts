import { limits } from '../domain/limits';
import type { IncidentId } from '../domain/ids';
import type { Request, WorkflowType } from './answers';

const titles: Readonly<Record<WorkflowType, (name: string) => string>> = {
  recoverHost: (name) => `Recover host ${name}`,
  fenceHost: (name) => `Fence host ${name}`,
  restartVm: (name) => `Restart VM ${name}`,
  readmitHost: (name) => `Readmit host ${name}`,
  repairGuest: (name) => `Repair the guest of VM ${name}`,
  migrateVolume: (name) => `Move a disk of ${name}`,
};

/** What Temporal's UI shows of a run from its first moment: one line, and who asked for it and why. */
export function staticDetails(of: {
  readonly type: WorkflowType;
  readonly name: string;
  readonly incidentId: IncidentId;
  readonly request: Request;
}): { staticSummary: string; staticDetails: string } {
  const { by, reason, source, rehearse } = of.request;
  const title = `${rehearse === true ? 'Rehearsal: ' : ''}${titles[of.type](of.name)}`;
  const lines = [
    `**${title}**`,
    '',
    `- incident: \`${of.incidentId}\``,
    `- asked by: ${inMarkdown(by)} (${source})`,
    `- reason: ${inMarkdown(reason)}`,
    `- timeline: \`vmedic incident show ${of.incidentId}\``,
  ];
  return { staticSummary: title.slice(0, limits.summaryCharsMax), staticDetails: lines.join('\n') };
}

/** Free text from outside must not become markup. */
const inMarkdown = (text: string): string => text.replace(/[\\`*_[\]<>#|]/g, '\\$&').replace(/\s+/g, ' ');
