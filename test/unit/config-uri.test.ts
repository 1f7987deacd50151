import { checkConfig } from '../../workers/config';

/** Where the errors of a config with this URI are. */
async function errors(uri: string): Promise<string[]> {
  const text = [
    'version: 1',
    'clusters:',
    '  - id: lab',
    '    hosts:',
    '      - id: hv-a',
    `        hypervisor: { driver: libvirt, uri: '${uri}' }`,
    '        commands: { driver: ssh, target: hv-a }',
    '        capacity: { memoryMiB: 1024, vcpus: 2 }',
  ].join('\n');
  const loaded = await checkConfig(text, 'vmedic.yaml');
  return loaded.ok ? [] : loaded.problems.filter((p) => p.severity === 'error').map((p) => p.where);
}

describe("a host's libvirt URI", () => {
  it.each(['qemu:///system', 'qemu+ssh://root@hv-a/system', 'qemu+tls://hv-a:16514/system?no_verify=1'])(
    '%s is one',
    async (uri) => {
      expect(await errors(uri)).toEqual([]);
    },
  );

  it.each([
    'hv-a',
    'ssh://hv-a',
    'http://hv-a/system',
    'qemu+shh://hv-a/system',
    'qemu+ssh://hv-a',
    'esx://h/',
  ])('%s is none, and its place is named', async (uri) => {
    expect(await errors(uri)).toEqual(['clusters[0].hosts[0].hypervisor.uri']);
  });
});
