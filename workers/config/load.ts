import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, isAbsolute, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { type AgentCheck, referenceProblems, relationProblems } from './checks';
import { errnoOf } from './errno';
import { withAbsoluteFront } from './front-paths';
import { lenientView } from './lenient';
import { type ConfigProblem, type Path, Places, problemsOfIssues, problemText } from './problems';
import { vmedicSchema } from './schema';
import type { VmedicConfig } from './types';

export type Loaded =
  | {
      readonly ok: true;
      readonly config: VmedicConfig;
      readonly path: string;
      readonly warnings: readonly ConfigProblem[];
    }
  | { readonly ok: false; readonly path: string; readonly problems: readonly ConfigProblem[] };

export interface LoadOptions {
  /**
   * `file`: only what the file itself shows, for a command line on a machine that has neither the secrets nor the fence agents.
   * `machine`: also that references resolve and agents know their options, as a worker needs it.
   */
  readonly depth?: 'file' | 'machine';
  readonly checkAgent?: AgentCheck;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Reads and checks a config, reporting every problem at once, each with its place. A file that cannot be read is a problem like any
 * other. Relative paths in the result are resolved against the file's folder. Warnings stop nothing.
 */
export async function loadConfig(path: string, options: LoadOptions = {}): Promise<Loaded> {
  const file = resolve(path);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const code = errnoOf(cause);
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EACCES'
          ? `the user ${userInfo().username}, as whom this runs, may not read it: chown it to that user, or move it`
          : code === 'EISDIR'
            ? 'it is a folder'
            : undefined;
    if (why === undefined) throw cause;
    const sentence = `${why}; name the config by --config FILE or VMEDIC_CONFIG`;
    return {
      ok: false,
      path: file,
      problems: [{ severity: 'error', file: path, line: 1, column: 1, where: '', sentence }],
    };
  }
  return checkConfig(text, path, options);
}

/** `loadConfig` on text that was read already; `path` is what problems name. */
export async function checkConfig(text: string, path: string, options: LoadOptions = {}): Promise<Loaded> {
  const file = resolve(path);
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true });
  if (document.errors.length > 0) {
    const problems = document.errors.map((error): ConfigProblem => {
      const { line, col } = counter.linePos(error.pos[0]);
      return {
        severity: 'error',
        file: path,
        line,
        column: col,
        where: '',
        sentence: `is no YAML: ${error.message}`,
      };
    });
    return { ok: false, path: file, problems };
  }
  const places = new Places(path, document, counter);
  const value: unknown = document.toJS();
  if (value === null || typeof value !== 'object')
    return {
      ok: false,
      path: file,
      problems: [places.problem('error', [], 'is empty; vmedic config schema prints what belongs in it')],
    };
  const parsed = vmedicSchema.safeParse(value);
  if (!parsed.success) {
    const broken = parsed.error.issues.map((issue) => issue.path);
    const isWhole = (path: Path): boolean => !broken.some((at) => path.every((part, i) => at[i] === part));
    const view = lenientView(value, isWhole);
    const problems = [
      ...problemsOfIssues(parsed.error, places, value),
      ...relationProblems(view, places),
      ...(await machineProblems(view, places, file, options)),
    ];
    return { ok: false, path: file, problems: inOrder(problems) };
  }
  const config = withAbsolutePaths(parsed.data, dirname(file));
  const found = await machineProblems(config, places, file, options);
  const problems = inOrder([...relationProblems(config, places), ...found]);
  if (problems.some((p) => p.severity === 'error')) return { ok: false, path: file, problems };
  return { ok: true, path: file, config, warnings: problems };
}

/** What only this machine can tell: whether references resolve and agents know their options. */
async function machineProblems(
  config: VmedicConfig,
  places: Places,
  file: string,
  { depth, env = process.env, checkAgent }: LoadOptions,
): Promise<ConfigProblem[]> {
  if (depth !== 'machine') return [];
  return referenceProblems(config, { places, folder: dirname(file), env }, checkAgent);
}

const inOrder = (problems: readonly ConfigProblem[]): ConfigProblem[] =>
  [...problems].sort((a, b) => a.line - b.line || a.column - b.column);

/** So that whoever uses the config later need not know where it was read from. */
function withAbsolutePaths(config: VmedicConfig, folder: string): VmedicConfig {
  const absolute = (path: string): string => (isAbsolute(path) ? path : resolve(folder, path));
  const reference = (text: string): string =>
    text.startsWith('file:') ? `file:${absolute(text.slice('file:'.length))}` : text;
  return {
    ...config,
    clusters: config.clusters.map((cluster) => ({
      ...cluster,
      hosts: cluster.hosts.map((host) => ({
        ...host,
        ...(host.fencing !== undefined && {
          fencing: host.fencing.map((level) => ({
            ...level,
            devices: level.devices.map((d) => ({
              ...d,
              ...(d.password !== undefined && { password: reference(d.password) }),
            })),
          })),
        }),
      })),
    })),
    ...(config.simulated !== undefined && { simulated: { socket: absolute(config.simulated.socket) } }),
    ...(config.stateDir !== undefined && { stateDir: absolute(config.stateDir) }),
    ...(config.inventory !== undefined && { inventory: { url: reference(config.inventory.url) } }),
    ...withAbsoluteFront(config, reference),
  };
}

export class ConfigRefused extends Error {
  override readonly name = 'ConfigRefused';
  constructor(readonly problems: readonly ConfigProblem[]) {
    super(problems.map(problemText).join('\n'));
  }
}
