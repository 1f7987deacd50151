/**
 * What an agent's exit code and text say. Only two things are believed outright: `status` with exit code 2 *and* the word "OFF", and exit
 * code 0. Exit code 2 alone is no proof: a Python that cannot open the agent's file ends with 2 as well.
 */

export interface AgentExit {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type StatusAnswer =
  { readonly says: 'on' | 'off' } | { readonly says: 'login-refused' | 'silent'; readonly detail: string };

export function statusAnswer(exit: AgentExit): StatusAnswer {
  if (exit.code === 0) return { says: 'on' };
  if (exit.code !== 2) return troubleOf(exit);
  if (/^Status: OFF\s*$/im.test(exit.stdout)) return { says: 'off' };
  return {
    says: 'silent',
    detail: `exit code 2 without the word "OFF" is not believed: ${errorLines(exit)}`,
  };
}

/**
 * Texts of a device that answered and did not let us in, as printed with verbosity on; without it an IPMI device says the same for a wrong
 * password as for silence. Seen with ipmitool 1.8.19 (RMCP+ and LAN sessions) and fence_redfish 4.12 (urllib3's line for each request);
 * the others are fence-agents' own words for ssh, telnet, SNMP and HTTP devices.
 */
const loginRefused = [
  /RAKP \d (HMAC is invalid|message indicates an error)/,
  /Error in open session response message/,
  /Activate Session (command failed|error)/,
  /" HTTP\/1\.\d" (401|403)\b|HTTP\/\d\S* (401|403)\b|\b401 (Client Error|Unauthorized)/i,
  /Unable to connect\/login to fencing device/,
  /Permission denied|Authentication fail|Login incorrect|Login failed|Invalid (password|username)/i,
  /does not have the correct privileges/,
];
/** ssh and telnet agents use one sentence for both; these show that nothing was there to refuse. */
const nobodyThere =
  /timed out|Connection refused|No route to host|Network is unreachable|Max retries exceeded|Name or service not known/i;

export function troubleOf(exit: AgentExit): Extract<StatusAnswer, { detail: string }> {
  const text = `${exit.stdout}\n${exit.stderr}`;
  const refused = loginRefused.some((r) => r.test(text)) && !nobodyThere.test(text);
  return { says: refused ? 'login-refused' : 'silent', detail: errorLines(exit) };
}

/** The agent's own error lines, without times and advice. */
export function errorLines({ code, stdout, stderr }: AgentExit): string {
  const lines = `${stderr}\n${stdout}`
    .split('\n')
    .filter((l) => /\bERROR: /.test(l) || /^Error\b|RAKP|Activate Session/.test(l.trim()))
    .map((l) => l.replace(/^.*\bERROR: /, '').trim())
    .filter((l) => l !== '' && !l.startsWith("Please use '-h'"));
  const http = /" HTTP\/1\.\d" ([45]\d\d)/.exec(`${stderr}\n${stdout}`)?.[1];
  if (http !== undefined) lines.unshift(`HTTP status ${http}`);
  return [...new Set(lines)].join('; ').slice(0, 400) || `exit code ${code}`;
}
