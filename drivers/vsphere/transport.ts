/**
 * One vCenter's HTTP: a call goes out once and is answered, refused by a typed fault, or its fate is not known. TLS is verified by the
 * system's authorities, by the operator's, or by the thumbprint of the certificate; there is no way to have none of them.
 */
import type { TLSSocket } from 'node:tls';
import { Agent, buildConnector, request } from 'undici';
import { NoAnswer, NotTrusted, VimFault } from './errors';
import { child, envelope, firstChild, type MoRef, type Part, parseXml, type XmlNode, xsiTypeOf } from './xml';

export interface TransportOptions {
  /** For instance `https://vc.example/sdk`. */
  readonly url: string;
  /** PEM of the authorities that may have signed its certificate. */
  readonly ca?: string;
  /** SHA-256 of its certificate, hex with or without colons; then nobody's signature counts. */
  readonly thumbprint?: string;
  /** The vim25 version asked for; the server answers in it. */
  readonly apiVersion?: string;
  readonly connections?: number;
}

export interface CallOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** A name for this call in vCenter's own logs. It makes nothing idempotent. */
  readonly operationId?: string | undefined;
  readonly cookie?: string | undefined;
}

export interface Answer {
  readonly body: XmlNode;
  /** The session's cookie, when the server set one. */
  readonly cookie: string | undefined;
}

/** 6.7: the oldest that is still about. Everything used here was in it. */
const defaultVersion = '6.7';
const connectMs = 5_000;
const sessionCookie = 'vmware_soap_session=';

/** Errors from before anything of the call was written. Whatever is not listed may have been carried out. */
const beforeSending = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const certificateErrors = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'VMEDIC_THUMBPRINT',
]);

export class Transport {
  private readonly agent: Agent;

  constructor(private readonly options: TransportOptions) {
    this.agent = new Agent({
      connect: connectorFor(options),
      connections: options.connections ?? 8,
      // A wait for updates is silent for its whole round: deadlines are per call.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: 30_000,
    });
  }

  /** Sends it once. @throws VimFault, NotTrusted or NoAnswer. */
  async call(method: string, target: MoRef, parts: Part, options: CallOptions): Promise<Answer> {
    const deadline = AbortSignal.timeout(options.deadlineMs);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal]);
    const { status, text, cookie } = await this.post(
      method,
      envelope(method, target, parts, options.operationId),
      {
        signal,
        cookie: options.cookie,
      },
    );
    const said = soapBody(text);
    const fault = child(said, 'Fault');
    if (fault !== undefined) throw typedFault(method, fault);
    const body = child(said, `${method}Response`);
    if (status === 200 && body !== undefined) return { body, cookie };
    throw new NoAnswer(method, true, `HTTP ${status}, and what came with it is no answer of a vCenter`);
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }

  private async post(
    method: string,
    body: string,
    { signal, cookie }: { signal: AbortSignal; cookie: string | undefined },
  ): Promise<{ status: number; text: string; cookie: string | undefined }> {
    try {
      const reply = await request(this.options.url, {
        method: 'POST',
        body,
        dispatcher: this.agent,
        signal,
        headers: {
          'content-type': 'text/xml; charset=utf-8',
          soapaction: `"urn:vim25/${this.options.apiVersion ?? defaultVersion}"`,
          ...(cookie !== undefined && { cookie }),
        },
      });
      const text = await reply.body.text();
      return { status: reply.statusCode, text, cookie: sessionCookieIn(reply.headers['set-cookie']) };
    } catch (cause) {
      throw notAnswered(method, cause);
    }
  }
}

/** With a thumbprint the certificate is looked at before a byte of ours is written. */
function connectorFor({ ca, thumbprint }: TransportOptions): buildConnector.connector {
  if (thumbprint === undefined)
    return buildConnector({ timeout: connectMs, ...(ca !== undefined && { ca }) });
  const wanted = plainHex(thumbprint);
  // A resumed TLS session shows no certificate, so none is kept for resuming.
  const connect = buildConnector({ timeout: connectMs, rejectUnauthorized: false, maxCachedSessions: 0 });
  return (options, done) =>
    connect(options, (error, socket) => {
      if (error !== null) return done(error, null);
      const raw = 'getPeerX509Certificate' in socket ? thumbprintOf(socket) : undefined;
      if (raw !== undefined && plainHex(raw) === wanted) return done(null, socket);
      socket.destroy();
      const why = `its certificate has the SHA-256 thumbprint ${raw ?? '(none: this is no TLS)'}, and ${thumbprint} is expected`;
      done(Object.assign(new Error(why), { code: 'VMEDIC_THUMBPRINT' }), null);
    });
}

const thumbprintOf = (socket: TLSSocket): string | undefined =>
  socket.getPeerX509Certificate()?.fingerprint256;

export const plainHex = (thumbprint: string): string => thumbprint.replace(/[:\s]/g, '').toUpperCase();

function sessionCookieIn(header: string | string[] | undefined): string | undefined {
  const set = [header ?? []].flat().find((c) => c.startsWith(sessionCookie));
  return set?.split(';', 1)[0];
}

function notAnswered(method: string, cause: unknown): NoAnswer {
  const { code, message, name } = cause as { code?: unknown; message?: string; name?: string };
  const id = typeof code === 'string' ? code : (name ?? '');
  const why = message ?? id;
  if (certificateErrors.has(id)) return new NotTrusted(method, why, cause);
  if (name === 'TimeoutError') return new NoAnswer(method, true, 'its deadline passed', { cause });
  if (name === 'AbortError') return new NoAnswer(method, true, 'its caller gave up', { cause });
  return new NoAnswer(method, !beforeSending.has(id), why === '' ? id : why, { cause });
}

function soapBody(text: string): XmlNode | undefined {
  try {
    return child(parseXml(text), 'Envelope', 'Body');
  } catch {
    // A proxy's page while services start, or half a reply: no answer, which the caller says.
    return undefined;
  }
}

function typedFault(method: string, fault: XmlNode): VimFault {
  const typed = firstChild(child(fault, 'detail'));
  const type = xsiTypeOf(typed?.node) ?? typed?.name.replace(/Fault$/, '') ?? 'untyped fault';
  return new VimFault(type, method, typed?.node);
}
