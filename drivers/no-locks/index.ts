export { createNoLocks } from './no-locks';
