/** What a fence agent says of itself (`-o metadata`, about 50 ms of Python), remembered for each version of its file. */
import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { XMLParser } from 'fast-xml-parser';

export interface AgentParameter {
  readonly name: string;
  readonly required: boolean;
  /** The older name that this one took the place of, and the newer one that took this one's. Either may be given. */
  readonly replaces: string | undefined;
  readonly replacedBy: string | undefined;
  /** A switch that is on unless it is switched off. */
  readonly onByDefault: boolean;
  readonly type: 'boolean' | 'integer' | 'second' | 'select' | 'string';
  readonly choices: readonly string[];
}

export interface AgentMetadata {
  readonly parameters: ReadonlyMap<string, AgentParameter>;
  readonly actions: ReadonlySet<string>;
}

/** Debian keeps the agents where an ordinary user's PATH does not lead. */
const moreFolders = ['/usr/sbin', '/usr/local/sbin', '/sbin'];
const metadataMsMax = 15_000;
const outputBytesMax = 4 * 1024 * 1024;

const known = new Map<string, Promise<AgentMetadata>>();

/** Where the agent's program lies; undefined when it is not installed. */
export function agentPath(agent: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':').filter(isAbsolute), ...moreFolders];
  const candidates = isAbsolute(agent) ? [agent] : folders.map((f) => join(f, agent));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      // Not there or not ours to run: the next folder is asked.
      return false;
    }
  });
}

/** Throws when the agent does not run or prints no metadata. */
export function agentMetadata(path: string): Promise<AgentMetadata> {
  const { mtimeMs, size } = statSync(path);
  const version = `${path} ${mtimeMs} ${size}`;
  let metadata = known.get(version);
  if (metadata === undefined) {
    metadata = runMetadata(path).then(parseMetadata);
    known.set(version, metadata);
    metadata.catch(() => known.delete(version));
  }
  return metadata;
}

function runMetadata(path: string): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C', PYTHONWARNINGS: 'ignore' };
  const options = { env, timeout: metadataMsMax, killSignal: 'SIGKILL', maxBuffer: outputBytesMax } as const;
  return new Promise((resolve, reject) => {
    execFile(path, ['-o', 'metadata'], options, (error, stdout) => {
      // Some agents end with an error after printing everything; the text decides.
      if (stdout.includes('</resource-agent>')) resolve(stdout);
      else reject(new Error(`${path} prints no metadata`, { cause: error }));
    });
  });
}

type Node = Readonly<Record<string, unknown>>;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseAttributeValue: false,
  isArray: (name) => name === 'parameter' || name === 'action' || name === 'option',
});

const at = (value: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>(
    (v, key) => (typeof v === 'object' && v !== null ? (v as Node)[key] : undefined),
    value,
  );
const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export function parseMetadata(xml: string): AgentMetadata {
  const agent = at(parser.parse(xml.slice(xml.indexOf('<'))), 'resource-agent');
  const raw = list(at(agent, 'parameters', 'parameter'));
  const replaces = raw.map((p) => [text(at(p, '@name')), text(at(p, '@obsoletes'))] as const);
  const parameters = raw.map((p): AgentParameter => {
    const name = text(at(p, '@name'));
    const type = text(at(p, 'content', '@type'));
    return {
      name,
      required: at(p, '@required') === '1',
      replaces: replaces.find(([newer, older]) => newer === name && older !== '')?.[1],
      replacedBy: replaces.find(([, older]) => older === name)?.[0],
      onByDefault: /^(1|yes|on|true)$/i.test(text(at(p, 'content', '@default'))),
      type:
        type === 'boolean' || type === 'integer' || type === 'second' || type === 'select' ? type : 'string',
      choices: list(at(p, 'content', 'option')).map((o) => text(at(o, '@value'))),
    };
  });
  return {
    parameters: new Map(parameters.map((p) => [p.name, p])),
    actions: new Set(list(at(agent, 'actions', 'action')).map((a) => text(at(a, '@name')))),
  };
}
