/**
 * Moves the disks of a scratch VM to another pool and back, for `vmedic doctor vcenter`: what only a real vCenter can prove, proven there.
 * The VM is named by a person, must be off, and nothing of it is removed.
 */
import type { VolumeMovesPort } from '../activities/ports';
import { poolId } from '../domain/ids';
import { type BeforeImage, type MoveVerdict, verdictSentence } from '../domain/volume-move';
import type { Vsphere } from '../drivers/vsphere';
import { openVsphere } from './compose-vsphere';
import { fleetOf, type VmedicConfig } from './config';

export interface ScratchMove {
  readonly vm: string;
  readonly to: string;
  /** False: only says what would be done. */
  readonly act: boolean;
}

export interface ScratchMoveResult {
  readonly ok: boolean;
  /** What would be, was, or kept from being done, in order. */
  readonly sentences: readonly string[];
}

const roundMs = 5_000;

export async function moveScratchVm(
  config: VmedicConfig,
  configPath: string,
  asked: ScratchMove,
  signal: AbortSignal,
): Promise<ScratchMoveResult> {
  const fleet = fleetOf(config);
  const vsphere = openVsphere(config, configPath, fleet);
  if (vsphere === undefined) return { ok: false, sentences: ['the config names no ESXi host'] };
  try {
    return await moved(
      vsphere,
      fleet.clusters.flatMap((c) => c.hosts),
      asked,
      signal,
    );
  } finally {
    await vsphere.close();
  }
}

async function moved(
  vsphere: Vsphere,
  hosts: readonly { readonly id: Parameters<Vsphere['hasHost']>[0] }[],
  { vm, to, act }: ScratchMove,
  signal: AbortSignal,
): Promise<ScratchMoveResult> {
  const no = (...sentences: string[]): ScratchMoveResult => ({ ok: false, sentences });
  const esx = hosts.filter((h) => vsphere.hasHost(h.id));
  const lists = await Promise.all(esx.map((h) => vsphere.hypervisor.list(h.id, signal)));
  const named = lists.flatMap((l) =>
    l.vms.filter((v) => v.name === vm).map((v) => ({ ...v, hostId: l.hostId })),
  );
  const [one] = named;
  if (one === undefined) return no(`no ESXi host of the config has a VM called ${vm}`);
  if (named.length > 1)
    return no(`${named.length} VMs are called ${vm}: give the scratch VM a name of its own`);
  if (one.state !== 'shut-off') return no(`${vm} is ${one.state}: a scratch VM is off`);
  const [read] = await vsphere.hypervisor.definitions(one.hostId, [one.vmId], signal);
  const disks = (read?.shape.disks ?? []).flatMap((d) =>
    d.uuid === undefined ? [] : [{ disk: d.uuid, to: poolId(to) }],
  );
  const order = { attempt: `doctor-${one.vmId}-${Date.now()}`, vmId: one.vmId, hostId: one.hostId, disks };
  const said = await vsphere.volumeMoves.preflight(order, signal);
  if (said.kind === 'refused') return no(...said.faults.map((f) => `${f.sentence}; ${f.next}`));
  const { before } = said;
  const plan = before.disks.map(
    (d) => `${act ? 'moves' : 'would move'} ${d.device} of ${vm} (${d.at.path}) to pool ${to}, and back`,
  );
  if (!act) return { ok: true, sentences: plan };
  const there = await oneWay(vsphere.volumeMoves, before, 'there', signal);
  const way = [...plan, `there: ${there.sentence}`];
  if (there.verdict?.kind !== 'MOVED') return no(...way);
  const back = await oneWay(vsphere.volumeMoves, before, 'back', signal);
  return { ok: back.verdict?.kind === 'NOT_MOVED', sentences: [...way, `back: ${back.sentence}`] };
}

async function oneWay(
  moves: VolumeMovesPort,
  before: BeforeImage,
  direction: 'there' | 'back',
  signal: AbortSignal,
): Promise<{ verdict: MoveVerdict | undefined; sentence: string }> {
  const sent = await moves.submit(before, direction, signal);
  if (sent.kind !== 'accepted') return { verdict: undefined, sentence: sent.fault.sentence };
  for (;;) {
    const state = await moves.follow(before, sent.task, roundMs, signal);
    if (state.kind === 'running') continue;
    const says = state.kind === 'ended' ? state.says : state.kind;
    const verdict = await moves.classify(before, { proofs: [], switchAsked: false }, signal);
    return { verdict, sentence: `vCenter's task says "${says}"; ${verdictSentence(verdict)}` };
  }
}
