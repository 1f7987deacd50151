/** A recovery that cannot prove its host off, which is where people come in. */
import { fenceDeviceId } from '../../domain/ids';
import type { RecoverHostInput } from '../../workflows/inputs';
import type { RecoveryStatus } from '../../workflows/messages';
import type { RecoverySystem } from './recovery-system';
import { untilPhase } from './story';

/** The host's own BMC, which `unfencedRecovery` silences when the host is `frozen`. */
export const bmcOf = (system: RecoverySystem, letter: string) => fenceDeviceId(`${system.host(letter)}-bmc`);

/**
 * `dark`: the host and its BMC lost their power. `frozen`: the host may wake up and write, and its BMC says nothing.
 *
 * @returns the run, once it is blocked, and what it said then
 */
export async function unfencedRecovery(
  system: RecoverySystem,
  letter: string,
  how: 'dark' | 'frozen',
  more: Partial<RecoverHostInput> = {},
) {
  const host = system.host(letter);
  if (how === 'dark') system.controls.cutPower(host, { bmcToo: true });
  else {
    system.controls.setDevice(bmcOf(system, letter), { mode: 'silent' });
    system.controls.freeze(host);
  }
  const run = await system.recoverHost(letter, more);
  const blocked: RecoveryStatus = await untilPhase(run, 'blocked-unfenced');
  return { run, blocked };
}
