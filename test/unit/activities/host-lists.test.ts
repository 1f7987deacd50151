import { HostLists } from '../../../activities/host-lists';
import { hostId } from '../../../domain/ids';
import type { HostVmList } from '../../../domain/observations';

const host = hostId('hv-a');

function slowHypervisor() {
  const reads: { finish: () => void }[] = [];
  const list = (): Promise<HostVmList> =>
    new Promise((resolve) => {
      const observedAt = `read ${reads.length + 1}`;
      reads.push({ finish: () => resolve({ hostId: host, observedAt, vms: [] }) });
    });
  return { reads, lists: new HostLists({ list }) };
}

/** Resolves when the host has been asked so many times. */
async function asked(reads: readonly unknown[], times: number): Promise<void> {
  while (reads.length < times) await turn();
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('never answers with a list that was begun before it was asked for', async () => {
  const { reads, lists } = slowHypervisor();
  const first = lists.read(host);
  await turn();
  const second = lists.read(host);
  reads[0]?.finish();
  expect((await first).observedAt).toBe('read 1');
  await asked(reads, 2);
  reads[1]?.finish();
  expect((await second).observedAt).toBe('read 2');
});

it('serves everybody who asks during one read from the next one', async () => {
  const { reads, lists } = slowHypervisor();
  void lists.read(host);
  await turn();
  const later = [lists.read(host), lists.read(host), lists.read(host)];
  reads[0]?.finish();
  await asked(reads, 2);
  reads[1]?.finish();
  expect(new Set((await Promise.all(later)).map((l) => l.observedAt))).toEqual(new Set(['read 2']));
  expect(reads).toHaveLength(2);
});

it('reads anew for whoever asks after a read has ended', async () => {
  const { reads, lists } = slowHypervisor();
  const first = lists.read(host);
  await turn();
  reads[0]?.finish();
  await first;
  const second = lists.read(host);
  await asked(reads, 2);
  reads[1]?.finish();
  expect((await second).observedAt).toBe('read 2');
});

it('lets a host rest for half as long as its read took, and serves by one read whoever asks meanwhile', async () => {
  const { reads, lists } = slowHypervisor();
  const first = lists.read(host);
  await turn();
  await new Promise((resolve) => setTimeout(resolve, 60));
  reads[0]?.finish();
  await first;
  const endedMs = Date.now();
  const later = [lists.read(host), lists.read(host)];
  await turn();
  later.push(lists.read(host));
  expect(reads).toHaveLength(1);
  await asked(reads, 2);
  expect(Date.now() - endedMs).toBeGreaterThanOrEqual(25);
  reads[1]?.finish();
  expect(new Set((await Promise.all(later)).map((l) => l.observedAt))).toEqual(new Set(['read 2']));
});
