/** How every ssh of ours is called: never asks, never waits for long, one connection per host for all that use the same folder. */
import { join } from 'node:path';

const connectSeconds = 3;
/** An idle master ends by itself, so that none is left behind by a worker that was killed. */
const persistSeconds = 60;

export const sshArguments = (controlFolder: string): string[] => [
  '-o',
  'BatchMode=yes',
  '-o',
  `ConnectTimeout=${connectSeconds}`,
  '-o',
  'ServerAliveInterval=1',
  '-o',
  'ServerAliveCountMax=3',
  '-o',
  'ControlMaster=auto',
  '-o',
  `ControlPath=${join(controlFolder, '%C')}`,
  '-o',
  `ControlPersist=${persistSeconds}`,
];
