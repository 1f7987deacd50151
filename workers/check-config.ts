import { checkAgentOptions } from '../drivers/fence-agents';
import { loadConfig, type Loaded } from './config';

/** The config as a worker of this machine needs it: references resolve, and each fence agent knows the options that it is given. */
export function checkOnMachine(path: string, env: NodeJS.ProcessEnv): Promise<Loaded> {
  return loadConfig(path, { env, depth: 'machine', checkAgent: checkAgentOptions });
}
