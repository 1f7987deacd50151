/**
 * Spans by OpenTelemetry's SDK, sent by OTLP over HTTP. Attributes name what was done to which host, VM or device; never an argument, a message or
 * an answer, which may hold what nobody else should read.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  type IdGenerator,
  RandomIdGenerator,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { ApplicationFailure, defaultPayloadConverter, type Payload } from '@temporalio/common';
import { DriverFault } from '../../domain/faults';
import {
  parseTraceParent,
  spanOfRun,
  traceHeader,
  type TraceParent,
  traceParentText,
} from '../../domain/trace-parent';
import type { WorkflowInfo } from '@temporalio/workflow';
import type { TracedRun } from '../../workflows/trace-context';
import { version } from '../version';
import { tracedPorts } from './traced-ports';
import type { Service, Tracing } from './index';

/** Spans of a recovery are seen while it runs; the SDK's own 5 s are most of one. */
const sendEveryMs = 1_000;
/** How long a process that ends may wait for its collector. */
const stopMs = 3_000;
/** Endless, or asked for by every look: a trace of them says nothing and has no end. */
const neverTraced: readonly string[] = ['watchFleet', 'checkReadiness'];

/** The SDK makes every id by itself; the span of a run has one already. */
class RunIds implements IdGenerator {
  private readonly random = new RandomIdGenerator();
  private next: string | undefined;

  withSpanId<T>(id: string, begin: () => T): T {
    this.next = id;
    try {
      return begin();
    } finally {
      this.next = undefined;
    }
  }

  generateTraceId = (): string => this.random.generateTraceId();
  generateSpanId = (): string => this.next ?? this.random.generateSpanId();
}

export interface Below {
  readonly kind?: SpanKind;
  readonly attributes: Attributes;
  readonly parent?: TraceParent | undefined;
}

export type Within = <T>(name: string, below: Below, work: (span: Span) => Promise<T>) => Promise<T>;

export function openTelemetry(service: Service, env: NodeJS.ProcessEnv): Tracing {
  const ids = new RunIds();
  const resource = resourceFromAttributes({
    'service.name': env['OTEL_SERVICE_NAME'] ?? service,
    'service.version': version(),
  });
  const provider = new TracerProvider({
    resource: defaultResource().merge(resource),
    idGenerator: ids,
    spanProcessors: [
      new BatchSpanProcessor({ exporter: new OTLPTraceExporter(), scheduledDelayMillis: sendEveryMs }),
    ],
  });
  const tracer = provider.getTracer('vmedic', version());
  const active = new AsyncLocalStorage<SpanContext>();

  const within: Within = async (name, { kind = SpanKind.INTERNAL, attributes, parent }, work) => {
    const above = parent === undefined ? active.getStore() : contextOf(parent);
    const below = above === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, above);
    const span = tracer.startSpan(name, { kind, attributes }, below);
    try {
      return await active.run(span.spanContext(), () => work(span));
    } catch (error) {
      const code = codeOf(error);
      span.setAttribute('vmedic.fault', code);
      span.setStatus({ code: SpanStatusCode.ERROR, message: code });
      throw error;
    } finally {
      span.end();
    }
  };

  const headers = (span: Span): Record<string, Payload> => ({
    [traceHeader]: defaultPayloadConverter.toPayload(traceParentText(parentOf(span.spanContext()))),
  });

  return {
    request({ method, route, requestId, parent }, answer) {
      const attributes = { 'http.request.method': method, 'http.route': route, 'vmedic.request': requestId };
      const from = parseTraceParent(parent);
      return within(`${method} ${route}`, { kind: SpanKind.SERVER, attributes, parent: from }, (span) =>
        answer((status) => void span.setAttribute('http.response.status_code', status)),
      );
    },
    client: {
      startWithDetails(input, next) {
        if (neverTraced.includes(input.workflowType)) return next(input);
        const attributes = { 'temporal.workflow.id': input.options.workflowId };
        return within(`start ${input.workflowType}`, { kind: SpanKind.PRODUCER, attributes }, (span) =>
          next({ ...input, headers: { ...input.headers, ...headers(span) } }),
        );
      },
    },
    worker: {
      interceptors: {
        activity: [
          ({ info }) => ({
            inbound: {
              execute(input, next) {
                const parent = parentIn(input.headers);
                if (parent === undefined) return next(input);
                const { workflowExecution, activityType, attempt } = info;
                const attributes = {
                  'temporal.workflow.id': workflowExecution?.workflowId ?? '',
                  'temporal.run.id': workflowExecution?.runId ?? '',
                  'temporal.activity.attempt': attempt,
                };
                return within(activityType, { kind: SpanKind.CONSUMER, attributes, parent }, () =>
                  next(input),
                );
              },
            },
          }),
        ],
      },
      sinks: {
        tracing: {
          ended: {
            callDuringReplay: false,
            fn({ workflowId, runId, workflowType }: WorkflowInfo, run: TracedRun) {
              const above = parseTraceParent(run.parent);
              if (above === undefined) return;
              const attributes = {
                ...{
                  'temporal.workflow.id': workflowId,
                  'temporal.run.id': runId,
                  'temporal.ended': run.how,
                },
              };
              const span = ids.withSpanId(spanOfRun(runId), () =>
                tracer.startSpan(
                  workflowType,
                  { kind: SpanKind.INTERNAL, attributes, startTime: run.began },
                  trace.setSpanContext(ROOT_CONTEXT, contextOf(above)),
                ),
              );
              if (run.how === 'failed') span.setStatus({ code: SpanStatusCode.ERROR });
              span.end(run.ended);
            },
          },
        },
      },
    },
    ports: (ports) => tracedPorts(ports, () => active.getStore() !== undefined, within),
    async stop() {
      const patience = new Promise<void>((resolve) => setTimeout(resolve, stopMs).unref());
      // What a collector that is away does not get is gone: the timeline has it all.
      await Promise.race([provider.shutdown().catch(() => undefined), patience]);
    },
  };
}

function parentIn(headers: Readonly<Record<string, Payload>>): TraceParent | undefined {
  const header = headers[traceHeader];
  return header === undefined
    ? undefined
    : parseTraceParent(defaultPayloadConverter.fromPayload<unknown>(header));
}

const contextOf = ({ traceId, spanId, sampled }: TraceParent): SpanContext => ({
  ...{ traceId, spanId, isRemote: true },
  traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
});

const parentOf = ({ traceId, spanId, traceFlags }: SpanContext): TraceParent => ({
  ...{ traceId, spanId },
  sampled: (traceFlags & TraceFlags.SAMPLED) !== 0,
});

/** What kind of trouble it was. The sentence stays in the timeline. */
function codeOf(error: unknown): string {
  if (error instanceof DriverFault) return error.fault.code;
  if (error instanceof ApplicationFailure && error.type) return error.type;
  return error instanceof Error ? error.name : 'unknown';
}
