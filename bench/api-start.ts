/** How long a start takes through the API, beside the same start handed to Temporal itself, turn by turn in one run. */
import { randomUUID } from 'node:crypto';
import { makeToken } from '../client/tokens';
import { incidentId } from '../domain/ids';
import { defaultTaskQueue, type RestartVmInput } from '../workflows/inputs';
import { withSystem } from './running-system';
import type { BenchSite } from './site';

export interface ApiStartResult {
  readonly name: string;
  readonly rounds: number;
  /** Milliseconds. */
  readonly api: Percentiles;
  readonly bare: Percentiles;
}

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

/** The first ones load code and make connections. */
const warmUp = 20;

export function measureApiStart(
  name: string,
  site: BenchSite,
  options: { readonly rounds: number; readonly timeoutMs: number; readonly progress: (line: string) => void },
): Promise<ApiStartResult> {
  return withSystem(site, options, async ({ system, session: { client }, inventory }) => {
    const { api } = system.runtime;
    const [vm] = await inventory.vms();
    if (api === undefined || vm === undefined) throw new Error('there is no API, or no VM to ask for');
    const token = makeToken({ name: 'bench', role: 'operator', by: 'bench', expiresAt: undefined });
    await inventory.createToken(token.record);
    const timed = async (begin: () => Promise<string>): Promise<number> => {
      const from = performance.now();
      const workflowId = await begin();
      const took = performance.now() - from;
      // The next one begins on a machine that is at rest.
      await client.workflow.getHandle(workflowId).result();
      return took;
    };
    // Rehearsals: the whole way in, and nothing is touched.
    const asked = (): Promise<string> =>
      timedFetch(`${api.url}/v1/vms/${vm.vmId}/restart`, token.text, { reason: 'bench', rehearse: true });
    const id = incidentId({ kind: 'vm', vmId: vm.vmId }, 1);
    const input: RestartVmInput = {
      ...{ vmId: vm.vmId, name: vm.name, clusterId: vm.clusterId, incidentId: id, mode: 'rehearse' },
      ...{ cause: 'operator', incidentBeganAt: undefined, epoch: 1, failed: undefined, target: undefined },
      trigger: { source: 'operator', by: 'bench', reason: 'bench', at: new Date().toISOString() },
    };
    const bare = async (): Promise<string> => {
      const workflowId = `rehearsal:bench:${randomUUID()}`;
      await client.workflow.start('restartVm', { workflowId, taskQueue: defaultTaskQueue, args: [input] });
      return workflowId;
    };
    const times: { api: number[]; bare: number[] } = { api: [], bare: [] };
    for (let round = -warmUp; round < options.rounds; round++) {
      const both = { api: await timed(asked), bare: await timed(bare) };
      if (round < 0) continue;
      times.api.push(both.api);
      times.bare.push(both.bare);
    }
    return { name, rounds: options.rounds, api: percentiles(times.api), bare: percentiles(times.bare) };
  });
}

async function timedFetch(url: string, token: string, body: object): Promise<string> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const said = (await answer.json()) as { workflowId?: string };
  if (answer.status !== 202 || said.workflowId === undefined)
    throw new Error(`the API answered ${answer.status}: ${JSON.stringify(said)}`);
  return said.workflowId;
}

function percentiles(times: readonly number[]): Percentiles {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

export function apiStartText({ name, rounds, api, bare }: ApiStartResult): string {
  const ms = ({ p50, p99 }: Percentiles): string => `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
  return [
    `${name}: ${rounds} starts each, one at a time, turn by turn`,
    `  POST /v1/vms/{vm}/restart:  ${ms(api)}  (who asks, audit trail, the incident's number, the start)`,
    `  the bare Temporal start:    ${ms(bare)}`,
    `  ratio:                      p50 ${(api.p50 / bare.p50).toFixed(1)}, p99 ${(api.p99 / bare.p99).toFixed(1)}`,
  ].join('\n');
}
