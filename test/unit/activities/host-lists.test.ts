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

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('never answers with a list that was begun before it was asked for', async () => {
  const { reads, lists } = slowHypervisor();
  const first = lists.read(host);
  const second = lists.read(host);
  reads[0]?.finish();
  expect((await first).observedAt).toBe('read 1');
  await turn();
  reads[1]?.finish();
  expect((await second).observedAt).toBe('read 2');
});

it('serves everybody who asks during one read from the next one', async () => {
  const { reads, lists } = slowHypervisor();
  void lists.read(host);
  const later = [lists.read(host), lists.read(host), lists.read(host)];
  reads[0]?.finish();
  await turn();
  reads[1]?.finish();
  expect(new Set((await Promise.all(later)).map((l) => l.observedAt))).toEqual(new Set(['read 2']));
  expect(reads).toHaveLength(2);
});

it('reads anew for whoever asks after a read has ended', async () => {
  const { reads, lists } = slowHypervisor();
  const first = lists.read(host);
  reads[0]?.finish();
  await first;
  const second = lists.read(host);
  reads[1]?.finish();
  expect((await second).observedAt).toBe('read 2');
});
