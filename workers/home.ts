import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';

/** The home of the user that `make install` makes; its state lives there without further folders. */
const serviceHome = '/var/lib/vmedic';

/** Where state is kept that no flag and no config names: `VMEDIC_HOME`, else the service user's home, else the user's own state folder. */
export function vmedicHome(env: NodeJS.ProcessEnv = process.env): string {
  if (env['VMEDIC_HOME']) return env['VMEDIC_HOME'];
  if (userInfo().username === 'vmedic') return serviceHome;
  return join(env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'vmedic');
}
