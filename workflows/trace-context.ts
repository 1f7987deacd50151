/**
 * Hands the trace that a run belongs to on to all that it begins. Nothing here decides anything, and headers are no commands: a run replays alike
 * with and without it. A run that was begun without a trace begins none.
 */
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import {
  ContinueAsNew,
  type Next,
  proxySinks,
  type Sinks,
  type WorkflowExecuteInput,
  type WorkflowInboundCallsInterceptor,
  workflowInfo,
  type WorkflowInterceptors,
  type WorkflowOutboundCallsInterceptor,
} from '@temporalio/workflow';
import { parseTraceParent, spanOfRun, traceHeader, traceParentText } from '../domain/trace-parent';

export interface TracedRun {
  /** Whose span the run's is below. */
  readonly parent: string;
  readonly began: number;
  readonly ended: number;
  readonly how: 'completed' | 'continued' | 'failed';
}

export interface TraceSinks extends Sinks {
  tracing: { ended(run: TracedRun): void };
}

type Headers = Record<string, Payload>;
type Outbound = Required<WorkflowOutboundCallsInterceptor>;

class TraceContext implements WorkflowInboundCallsInterceptor, WorkflowOutboundCallsInterceptor {
  private own: Headers = {};

  async execute(
    input: WorkflowExecuteInput,
    next: Next<WorkflowInboundCallsInterceptor, 'execute'>,
  ): Promise<unknown> {
    const header = input.headers[traceHeader];
    const text = header === undefined ? undefined : defaultPayloadConverter.fromPayload<unknown>(header);
    const parent = parseTraceParent(text);
    if (parent === undefined) return next(input);
    const { runId, runStartTime } = workflowInfo();
    const own = traceParentText({ ...parent, spanId: spanOfRun(runId) });
    this.own = { [traceHeader]: defaultPayloadConverter.toPayload(own) };
    const ended = (how: TracedRun['how']): void =>
      proxySinks<TraceSinks>().tracing.ended({
        ...{ parent: traceParentText(parent), began: runStartTime.getTime(), ended: Date.now(), how },
      });
    try {
      const result = await next(input);
      ended('completed');
      return result;
    } catch (error) {
      ended(error instanceof ContinueAsNew ? 'continued' : 'failed');
      throw error;
    }
  }

  scheduleActivity: Outbound['scheduleActivity'] = (input, next) =>
    next({ ...input, headers: { ...input.headers, ...this.own } });

  scheduleLocalActivity: Outbound['scheduleLocalActivity'] = (input, next) =>
    next({ ...input, headers: { ...input.headers, ...this.own } });

  startChildWorkflowExecution: Outbound['startChildWorkflowExecution'] = (input, next) =>
    next({ ...input, headers: { ...input.headers, ...this.own } });

  continueAsNew: Outbound['continueAsNew'] = (input, next) =>
    next({ ...input, headers: { ...input.headers, ...this.own } });
}

/** By this name the SDK finds it in the bundle. */
export const interceptors = (): WorkflowInterceptors => {
  const context = new TraceContext();
  return { inbound: [context], outbound: [context] };
};
