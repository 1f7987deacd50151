import { setMaxListeners } from 'node:events';

/** One activity asks many hosts with one signal; Node would warn of a leak at the eleventh listener. */
export const manyMayListen = (signal: AbortSignal): void => setMaxListeners(0, signal);
