/** Settles at the first Ctrl-C, SIGTERM or SIGHUP; `stop` gives the signals back. Later ones change nothing: an orderly end is under way. */
export function untilSignal(): {
  readonly signalled: Promise<NodeJS.Signals>;
  readonly abort: AbortSignal;
  stop(): void;
} {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const controller = new AbortController();
  let settle: (signal: NodeJS.Signals) => void;
  const signalled = new Promise<NodeJS.Signals>((resolve) => (settle = resolve));
  const listen = (signal: NodeJS.Signals): void => {
    controller.abort(new Error(`stopped by ${signal}`));
    settle(signal);
  };
  for (const signal of signals) process.on(signal, listen);
  // A signal that is waited for keeps no process alive; this does.
  const alive = setInterval(() => undefined, 60_000);
  return {
    signalled,
    abort: controller.signal,
    stop() {
      clearInterval(alive);
      for (const signal of signals) process.removeListener(signal, listen);
    },
  };
}
