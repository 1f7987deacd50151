import { whenAsked, whenUnasked } from '../../../activities/watch-unasked';
import { newMemory, type WatchedCluster } from '../../../activities/watched-cluster';
import { fault } from '../../../domain/faults';
import type { Host } from '../../../domain/fleet';
import { hostId } from '../../../domain/ids';
import type { HostRecord } from '../../../domain/records';
import { aboutVcenter, type Unasked } from '../../../domain/unasked';

const host = { id: hostId('esx-1'), vcenter: 'vc' } as Host;
const inService = { standing: 'in-service' } as HostRecord;
const unasked: Unasked = {
  ...{ about: aboutVcenter('vc'), passes: false },
  fault: fault('VCENTER_UNREACHABLE', { vcenter: 'vc', detail: 'ECONNREFUSED' }),
};

/** A watch whose inventory breaks off at the first of each of these. */
function watching(breaks: readonly ('raise' | 'clear')[] = []) {
  const broken = new Set(breaks);
  const did: string[] = [];
  const write = (what: 'raise' | 'clear') => () => {
    if (broken.delete(what)) return Promise.reject(new Error('the inventory broke off'));
    did.push(what);
    return Promise.resolve('already');
  };
  const told = new Set<string>();
  const memory = newMemory();
  const watch = {
    ...{ supervision: {}, cluster: { id: 'c', hosts: [host] }, answeredMs: new Map() },
    env: {
      inventory: { raiseAlert: write('raise'), clearAlert: write('clear'), hosts: () => Promise.resolve([]) },
    },
    memory: () => memory,
    unaskedTold: () => Promise.resolve(told),
    isBlind: () => Promise.resolve(did.push('blind again?') > 0),
  } as unknown as WatchedCluster;
  return {
    ...{ did, memory },
    cannotAsk: () => whenUnasked(watch, host, inService, unasked, Date.now() + 1),
    hears: () => whenAsked(watch, host),
  };
}

it('says again what the inventory did not take', async () => {
  const { did, cannotAsk } = watching(['raise']);
  await expect(cannotAsk()).rejects.toThrow('broke off');
  await cannotAsk();
  await cannotAsk();
  expect(did).toEqual(['raise']);
});

it('takes back again what the inventory did not take back', async () => {
  const { did, cannotAsk, hears } = watching(['clear']);
  await cannotAsk();
  await expect(hears()).rejects.toThrow('broke off');
  await hears();
  await hears();
  expect(did).toEqual(['raise', 'clear']);
});

it('looks again whether most hosts are silent when one of them counts as silent no longer', async () => {
  const { did, memory, cannotAsk } = watching();
  memory.silent = { sinceMs: 0, looks: 3, deadLooks: 0, readOff: false, nextLookMs: 0 };
  await cannotAsk();
  expect(memory.silent).toBeUndefined();
  expect(did).toEqual(['blind again?', 'raise']);
});
