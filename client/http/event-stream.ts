/** An incident's timeline as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncidentId } from '../../domain/ids';
import { isUnanswered } from '../errors';
import type { HttpDoor } from './door';
import { Problem } from './problems';
import { incidentView } from './schemas';

const lookEveryMs = 500;
/** A comment now and then, so that no proxy takes the stream for dead. */
const keepAliveMs = 15_000;
/** Each stream asks the inventory twice a second; more of them would be a load that nobody ordered. */
const streamsMax = 100;
/** How much a reader may be behind before it is let go: it comes back with `Last-Event-ID`. */
const behindBytesMax = 1_048_576;

let open = 0;

/** Answers until the incident is closed or the reader leaves. @throws Problem 503 when too many read already, or 400. */
export async function streamTimeline(
  door: HttpDoor,
  incidentId: IncidentId,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const from = startOf(request);
  if (open >= streamsMax)
    throw new Problem(503, 'TOO_MANY_STREAMS', `${streamsMax} timelines are being followed already`, {
      headers: { 'retry-after': '10' },
    });
  open += 1;
  const gone = new AbortController();
  request.raw.once('close', () => gone.abort());
  reply.hijack();
  try {
    reply.raw.writeHead(200, {
      ...{ 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
      'x-request-id': request.id,
    });
    await tellAll(door, incidentId, reply, from, gone.signal);
  } catch (error) {
    if (!gone.signal.aborted)
      door.log.warn({ err: error, incidentId }, 'a timeline could not be followed on');
  } finally {
    open -= 1;
    reply.raw.end();
  }
}

function startOf(request: FastifyRequest): number {
  const id = request.headers['last-event-id'];
  if (id === undefined) return 0;
  if (typeof id === 'string' && /^\d{1,9}$/.test(id)) return Number(id);
  throw new Problem(400, 'INVALID_REQUEST', 'header last-event-id: is the seq of a timeline entry', {
    errors: [{ in: 'header', at: 'last-event-id', sentence: 'is the seq of a timeline entry' }],
  });
}

async function tellAll(
  door: HttpDoor,
  incidentId: IncidentId,
  reply: FastifyReply,
  from: number,
  gone: AbortSignal,
): Promise<void> {
  const send = (event: string, data: unknown, id?: number): void =>
    void reply.raw.write(
      `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`,
    );
  let seq = from;
  let version = -1;
  let spokenAt = Date.now();
  while (!gone.aborted && reply.raw.writableLength < behindBytesMax) {
    try {
      // The incident first: once it is closed, its timeline is whole.
      const incident = await door.inventory.incident(incidentId);
      for (const entry of await door.inventory.timeline(incidentId, seq)) {
        send('entry', entry, entry.seq);
        seq = entry.seq;
        spokenAt = Date.now();
      }
      if (incident !== undefined && incident.version !== version) {
        version = incident.version;
        send('incident', incidentView(incident));
        spokenAt = Date.now();
      }
      if (incident === undefined || incident.closedAt !== undefined) return send('end', { seq });
    } catch (error) {
      // The inventory comes back, and the stream goes on from where it was.
      if (!isUnanswered(error)) throw error;
    }
    if (Date.now() - spokenAt > keepAliveMs) {
      reply.raw.write(': nothing new\n\n');
      spokenAt = Date.now();
    }
    await delay(lookEveryMs, undefined, { signal: gone });
  }
}
