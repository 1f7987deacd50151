/**
 * Is this host alive? Several sources, one verdict. Pure, so that every combination is a row in a table test.
 *
 * `dead-by-evidence` needs a power reading of "off", or silence from two independent sources (hypervisor and host commands) while
 * nothing says that it lives. A refused connection is a sign of life: somebody's kernel answered. A hung or dead hypervisor daemon on
 * a host whose kernel answers is `degraded`: its guests may run on, so nothing of it may be started elsewhere. A host that a neighbour reaches is
 * at most `suspect`. A host that is seen to write its heartbeat to a shared pool is at most `degraded`, whatever a BMC reads: its guests can write
 * there as well. A heartbeat that stands still proves nothing.
 */
import type { HostSign } from './observations';

export type HostVerdict =
  | { readonly verdict: 'alive'; readonly bootId: string | undefined; readonly why: string }
  | { readonly verdict: 'degraded'; readonly bootId: string | undefined; readonly why: string }
  | { readonly verdict: 'suspect'; readonly why: string; readonly missing: string }
  | { readonly verdict: 'dead-by-evidence'; readonly why: string };

export function judgeHost(signs: readonly HostSign[]): HostVerdict {
  const hypervisor = signs.filter((s) => s.source === 'hypervisor');
  const commands = signs.filter((s) => s.source === 'commands');
  const power = signs.filter((s) => s.source === 'power');
  const bootId = commands
    .map((s) => (s.says === 'answers' ? s.bootId : undefined))
    .find((b) => b !== undefined);

  if (hypervisor.some((s) => s.says === 'answers'))
    return { verdict: 'alive', bootId, why: 'its hypervisor answers' };

  const daemonOnly = hypervisor.some((s) => s.says === 'refused' || s.says === 'hung');
  if (commands.some((s) => s.says === 'answers'))
    return { verdict: 'degraded', bootId, why: `the host answers, its hypervisor is ${wordFor(hypervisor)}` };

  // Nothing outranks a write: a BMC that reads "off" meanwhile is the wrong one, or lies.
  const [beat] = signs.flatMap((s) => (s.source === 'storage' && s.says === 'writes' ? [s] : []));
  if (beat !== undefined)
    return {
      verdict: 'degraded',
      bootId,
      why: `${beat.via} sees it write its heartbeat to pool ${beat.poolId}: it lives, and so may its guests`,
    };

  // A BMC's "off" outranks a refused connection: with the power off the refusal came from something else on that address.
  if (powerReadsOff(signs))
    return { verdict: 'dead-by-evidence', why: `${power.map((s) => s.deviceId).join(', ')} reads off` };
  if (daemonOnly || commands.some((s) => s.says === 'refused'))
    return {
      verdict: 'degraded',
      bootId,
      why: `its kernel answers, its hypervisor is ${wordFor(hypervisor)}`,
    };

  // Silent towards VMedic, and not towards its neighbours: the link between them is dead, and its VMs run on.
  const reaching = signs.flatMap((s) => (s.source === 'neighbour' && s.says === 'reaches-it' ? [s.via] : []));
  if (reaching.length > 0)
    return {
      verdict: 'suspect',
      why: `it does not answer VMedic, and ${reaching.join(', ')} ${reaching.length === 1 ? 'reaches' : 'reach'} it: the link between VMedic and it may be dead`,
      missing: 'silence towards its neighbours',
    };

  const shut = hypervisor.find((s) => s.says === 'not-asked');
  if (shut !== undefined)
    return {
      verdict: 'suspect',
      why: `VMedic cannot ask its hypervisor (${shut.detail})`,
      missing: 'any word of its hypervisor',
    };

  const silentHypervisor = hypervisor.some((s) => s.says === 'silent');
  const silentCommands = commands.some((s) => s.says === 'silent');
  if (silentHypervisor && silentCommands)
    return {
      verdict: 'dead-by-evidence',
      why: 'its hypervisor and its host commands are silent: two independent sources',
    };
  const missing = !silentCommands
    ? 'a second source: host commands are not configured or were not read'
    : 'a second source: its hypervisor was not read';
  const seen = silentHypervisor ? 'its hypervisor is silent' : 'nothing was heard';
  return { verdict: 'suspect', why: seen, missing };
}

/** Whether every fence device that was asked reads "off": of a host with two power supplies, one that is off proves nothing. */
export function powerReadsOff(signs: readonly HostSign[]): boolean {
  const power = signs.filter((s) => s.source === 'power');
  return power.length > 0 && power.every((s) => s.says === 'off');
}

function wordFor(signs: readonly HostSign[]): string {
  return signs.map((s) => s.says).join(', ') || 'not read';
}
