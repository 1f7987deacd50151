/**
 * Options of a fence agent against what the agent says of itself. At run time an option it does not know is a warning nobody reads, so a
 * misspelt one is found when the config is loaded or not at all.
 */
import { type AgentMetadata, agentMetadata, type AgentParameter, agentPath } from './agent-metadata';

export type AgentOptions = Readonly<Record<string, string | number | boolean>>;

/** Options that VMedic sets itself, or that would turn an error into "off" or write secrets to a file. */
const notAllowed: Readonly<Record<string, string>> = {
  action: 'VMedic sets the action itself',
  option: 'VMedic sets the action itself',
  missing_as_off: 'it reports any misspelt name as "off"; VMs would be started beside running ones',
  debug: 'it writes the password to a file',
  debug_file: 'it writes the password to a file',
  verbose: 'VMedic sets it itself, to tell a refused login from silence',
  verbose_level: 'VMedic sets it itself, to tell a refused login from silence',
  passwd_script: 'give the password as a reference (file: or env:)',
  password_script: 'give the password as a reference (file: or env:)',
};

/** Without it fence_redfish takes the last system that its BMC names, whichever that is. */
const needsBesides: Readonly<Record<string, readonly string[]>> = { fence_redfish: ['systems_uri'] };

/**
 * Every problem as a sentence; empty when all is well. Talks to no device. A password that is kept elsewhere counts as given when the
 * options name one with any value.
 */
export async function checkAgentOptions(agent: string, options: AgentOptions): Promise<string[]> {
  const path = agentPath(agent);
  if (path === undefined)
    return [`the fence agent ${agent} is not installed here (Debian: apt-get install fence-agents)`];
  let metadata: AgentMetadata;
  try {
    metadata = await agentMetadata(path);
  } catch (error) {
    return [`${agent} does not describe itself, so its options cannot be checked: ${messageOf(error)}`];
  }
  return [...actionProblems(agent, metadata), ...optionProblems(agent, metadata, options)];
}

export function actionProblems(agent: string, { actions }: AgentMetadata): string[] {
  return ['status', 'off']
    .filter((action) => !actions.has(action))
    .map((action) =>
      action === 'status'
        ? `${agent} has no "status": it can never prove that a host is off`
        : `${agent} has no "off": it cannot fence`,
    );
}

export function optionProblems(
  agent: string,
  { parameters }: AgentMetadata,
  options: AgentOptions,
): string[] {
  const given = Object.entries(options);
  const problems = given.flatMap(([name, value]): string[] => {
    const why = notAllowed[name];
    if (why !== undefined) return [`option ${name} is not allowed: ${why}`];
    const parameter = parameters.get(name);
    if (parameter === undefined) return [`${agent} has no option ${name}${closest(name, parameters.keys())}`];
    return valueProblem(parameter, value);
  });
  for (const { name, required, replaces, replacedBy } of parameters.values()) {
    if (name === 'action' || replacedBy !== undefined) continue;
    // Every agent that has an address needs it, and none of them says so in its metadata.
    const needed =
      required || (name === 'ip' && !('port_as_ip' in options)) || (needsBesides[agent] ?? []).includes(name);
    if (needed && !(name in options) && !(replaces !== undefined && replaces in options))
      problems.push(`${agent} needs the option ${name}`);
  }
  return problems;
}

const booleans = /^(1|0|yes|no|on|off|true|false)$/i;

function valueProblem({ name, type, choices }: AgentParameter, value: string | number | boolean): string[] {
  const text = String(value);
  // Not quoted here: a value may be a secret in the wrong place.
  if (/[\r\n]/.test(text)) return [`option ${name} holds a line break`];
  if (type === 'boolean' && !booleans.test(text)) return [`option ${name} must be true or false`];
  if (type === 'integer' && !/^-?\d+$/.test(text)) return [`option ${name} must be a whole number`];
  if (type === 'second' && !/^\d+$/.test(text)) return [`option ${name} must be a whole number of seconds`];
  if (type === 'select' && !choices.includes(text))
    return [`option ${name} must be one of ${choices.join(', ')}`];
  return [];
}

/** " (did you mean ...?)" when a known name is at most two letters away. */
function closest(name: string, names: Iterable<string>): string {
  const [best] = [...names].map((n) => ({ n, d: distance(name, n) })).sort((a, b) => a.d - b.d);
  return best !== undefined && best.d <= 2 ? ` (did you mean ${best.n}?)` : '';
}

/** Edit distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(
        (row[j] as number) + 1,
        (next[j - 1] as number) + 1,
        (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    row = next;
  }
  return row[b.length] as number;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
