import { DefaultLogger, type LogLevel, Runtime } from '@temporalio/worker';
import { type Logger, pino } from 'pino';

const levels: Readonly<Record<LogLevel, 'trace' | 'debug' | 'info' | 'warn' | 'error'>> = {
  TRACE: 'trace',
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  ERROR: 'error',
};

/** Lines of JSON on stderr: stdout belongs to results. `VMEDIC_LOG` sets the level (default: info). */
export function openLog(env: NodeJS.ProcessEnv = process.env): Logger {
  return pino(
    {
      level: env['VMEDIC_LOG'] ?? 'info',
      base: { pid: process.pid },
      // The SDK gives its errors under this name; unserialised they are written as {}.
      serializers: { error: pino.stdSerializers.err },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}

/**
 * One log for this process: the SDK's own lines and its native core's from "warn" up, ours as configured. Once per process, before
 * anything else of the SDK's worker.
 */
export function installRuntime(log: Logger): void {
  const logger = new DefaultLogger('WARN', ({ level, message, meta }) =>
    log[levels[level]](meta ?? {}, message),
  );
  Runtime.install({
    logger,
    telemetryOptions: { logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} } },
  });
}
