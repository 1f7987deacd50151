import { type Logger, pino } from 'pino';

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
