/** OpenTelemetry traces: from the request through workflow and activity to the driver call. Off, and then nothing of it is even loaded, unless a collector is named. */
import type { WorkflowClientInterceptor } from '@temporalio/client';
import type { InjectedSinks, WorkerOptions } from '@temporalio/worker';
import type { Ports } from '../../activities/ports';
import type { TraceRequest } from '../../client/http/door';
import type { TraceSinks } from '../../workflows/trace-context';

export interface Tracing {
  readonly request: TraceRequest;
  readonly client: WorkflowClientInterceptor;
  readonly worker: Pick<WorkerOptions, 'interceptors' | 'sinks'>;
  ports(ports: Ports): Ports;
  /** Sends what is left. Never throws: a collector that is away is no trouble of a recovery's. */
  stop(): Promise<void>;
}

export type Service = 'vmedic-api' | 'vmedic-worker';

/** By the variables that every OpenTelemetry SDK knows. */
export const tracingWanted = (env: NodeJS.ProcessEnv): boolean =>
  env['OTEL_SDK_DISABLED'] !== 'true' &&
  Boolean(env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT']);

export async function startTracing(
  service: Service,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Tracing | undefined> {
  if (!tracingWanted(env)) return undefined;
  const { openTelemetry } = await import('./open-telemetry');
  return openTelemetry(service, env);
}

/** For a worker that traces nothing: a run that somebody else traces tells it of its end all the same. */
export const untraced: Pick<WorkerOptions, 'sinks'> = {
  sinks: {
    tracing: { ended: { fn: () => undefined, callDuringReplay: false } },
  } satisfies InjectedSinks<TraceSinks>,
};
