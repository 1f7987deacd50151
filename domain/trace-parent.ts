/** Which trace something belongs to, and which span it is below: the W3C's `traceparent`, by which programs of any make tell each other. */

export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly sampled: boolean;
}

/** The name of the header, in HTTP and in Temporal. */
export const traceHeader = 'traceparent';

const form = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/;
const nothing = /^0+$/;

export const traceParentText = ({ traceId, spanId, sampled }: TraceParent): string =>
  `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;

/** Undefined for whatever is none: a trace is never a reason to refuse. */
export function parseTraceParent(text: unknown): TraceParent | undefined {
  const [, traceId, spanId, flags] = (typeof text === 'string' ? form.exec(text) : null) ?? [];
  if (traceId === undefined || spanId === undefined || nothing.test(traceId) || nothing.test(spanId))
    return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags ?? '0', 16) & 1) === 1 };
}

/** A run's span is named by the run's own id: the same at each replay and on every worker, with nothing to remember. */
export const spanOfRun = (runId: string): string => runId.replaceAll('-', '').slice(-16);
