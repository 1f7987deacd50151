/** A config of two hosts that share one pool, for tests of what the check says of a pool. */
import { stringify } from 'yaml';
import { checkConfig } from '../../workers/config';

export const poolHost = (id: string, more: object = {}) => ({
  ...{ id, hypervisor: { driver: 'libvirt', uri: `qemu+ssh://${id}/system` } },
  ...{ commands: { driver: 'ssh', target: id }, capacity: { memoryMiB: 4096, vcpus: 8 }, pools: ['images'] },
  fencing: [
    { name: 'bmc', devices: [{ id: `${id}-bmc`, agent: 'fence_ipmilan', options: { ip: '192.0.2.1' } }] },
  ],
  ...more,
});

const images = { id: 'images', type: 'dir', path: '/srv/images', lockStrategy: 'none' };

export const poolConfig = (pool: object = {}, hosts = [poolHost('hv-a'), poolHost('hv-b')]) => ({
  ...{ version: 1, clusters: [{ id: 'one', hosts }], pools: [{ ...images, ...pool }] },
});

/** Every warning, or every problem, as a sentence. */
export async function saidOfConfig(written: object): Promise<string[]> {
  const loaded = await checkConfig(stringify(written), 'vmedic.yaml');
  return (loaded.ok ? loaded.warnings : loaded.problems).map((p) => p.sentence);
}
