/** A short look at a daemon. Silence, refusal and a half-answer are answers here. */
import { connect } from 'node:net';
import { DriverFault } from '../../domain/faults';
import type { HostSign } from '../../domain/observations';
import type { HostConnection } from './connection';
import type { VirshAnswer } from './virsh';
import { parseDomstats } from './virsh-text';

export type HypervisorSign = Extract<HostSign, { source: 'hypervisor' }>;

/** libvirt's ports for connections that a kernel accepts before any daemon looks at them. */
const tcpPorts: Readonly<Record<string, number>> = { 'qemu+tcp:': 16509, 'qemu+tls:': 16514 };
const tcpConnectMs = 1_000;
/** Twenty times what a healthy daemon takes. */
const slowMs = 1_000;

/**
 * Throws only when this side could not ask at all (no virsh, no process to be had): that is no sign of the host, and taken for silence it
 * would make every host look dead at once.
 */
export async function probeDaemon(connection: HostConnection, signal: AbortSignal): Promise<HypervisorSign> {
  const say = (says: 'refused' | 'silent' | 'hung'): HypervisorSign => ({
    source: 'hypervisor',
    says,
    observedAt,
  });
  const { readMs, listMs } = connection.deadlines;
  const observedAt = new Date().toISOString();
  const statistics = ask(connection, 'domstats --state --raw', readMs, signal);
  const plain = besideIfSlow(
    statistics,
    (beside) => ask(connection, 'list --all --name', listMs, beside),
    signal,
  );
  // Looked at only when the first question stays open; until then its failure is nobody's concern.
  plain.catch(() => undefined);
  const answer = await statistics;
  if (answer.kind === 'answered' && answer.errors === '') {
    const runningVms = [...parseDomstats(answer.sections[0] ?? '').values()].filter(
      (s) => s.state === 1,
    ).length;
    return { source: 'hypervisor', says: 'answers', runningVms, observedAt };
  }
  if (answer.kind === 'answered') return say('hung');
  if (answer.kind === 'refused') return say('refused');
  if (answer.kind === 'cancelled' || signal.aborted) return say('silent');
  if (answer.kind === 'broken') return say('refused');
  const listed = await plain;
  if (listed?.kind === 'answered' && listed.errors === '') return say('hung');
  return say((await kernelAccepts(connection.uri)) ? 'hung' : 'silent');
}

/**
 * A second question while the first is still unanswered, so that a host that answers neither is known after one deadline and not after
 * both. Undefined when the first was answered in time.
 */
async function besideIfSlow(
  first: Promise<VirshAnswer>,
  second: (signal: AbortSignal) => Promise<VirshAnswer>,
  signal: AbortSignal,
): Promise<VirshAnswer | undefined> {
  const early = await Promise.race([
    first.then(
      () => true,
      () => true,
    ),
    new Promise<false>((resolve) => setTimeout(() => resolve(false), slowMs).unref()),
  ]);
  // It may also have failed early for want of anybody there: then the second question says no more than the first.
  return early || signal.aborted ? undefined : second(signal);
}

/** One child; a second one when the first was lost by our own fault. */
async function ask(
  connection: HostConnection,
  command: string,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<VirshAnswer> {
  const once = () => connection.look([command], { deadlineMs, readOnly: true }, signal);
  const first = await once();
  if (signal.aborted) return { kind: 'cancelled', detail: 'the look was cancelled' };
  const answer = first.kind === 'not-sent' || first.kind === 'broken' ? await once() : first;
  if (answer.kind === 'not-sent' || (answer.kind === 'broken' && answer.ours === true))
    throw new DriverFault('LIST_INCOMPLETE', { host: connection.host, detail: answer.detail });
  return answer;
}

/** Whether a TCP connection is accepted: the kernel does that by itself, so its host lives even if the daemon hangs. */
function kernelAccepts(uri: string): Promise<boolean> {
  const { protocol, hostname, port } = new URL(uri);
  const standard = tcpPorts[protocol];
  if (standard === undefined || hostname === '') return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: port === '' ? standard : Number(port) });
    const done = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.setTimeout(tcpConnectMs, () => done(false));
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}
