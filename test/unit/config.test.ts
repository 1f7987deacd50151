import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { defaultPolicy } from '../../domain/limits';
import {
  checkConfig,
  closest,
  type ConfigProblem,
  configSchema,
  durationMs,
  durationText,
  fleetOf,
  loadConfig,
  type LoadOptions,
  problemText,
  resolveSecret,
  type VmedicConfig,
} from '../../workers/config';

const folder = mkdtempSync(join(tmpdir(), 'vmedic-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const host = (id: string, more: object = {}) => ({
  id,
  hypervisor: { driver: 'libvirt', uri: `qemu+ssh://${id}/system` },
  commands: { driver: 'ssh', target: id },
  capacity: { memoryMiB: 4096, vcpus: 8 },
  fencing: [
    { name: 'bmc', devices: [{ id: `${id}-bmc`, agent: 'fence_ipmilan', options: { ip: '192.0.2.1' } }] },
  ],
  ...more,
});

const sound = (more: object = {}, cluster: object = {}): Record<string, unknown> => ({
  version: 1,
  clusters: [{ id: 'one', hosts: [host('hv-a'), host('hv-b')], ...cluster }],
  ...more,
});

/** The path that problems name for a config of these tests. */
const file = join(folder, 'vmedic.yaml');

async function problemsOf(
  config: object | string,
  options: LoadOptions = {},
): Promise<readonly ConfigProblem[]> {
  const loaded = await checkConfig(typeof config === 'string' ? config : stringify(config), file, options);
  return loaded.ok ? loaded.warnings : loaded.problems;
}

const sentences = async (config: object | string, options: LoadOptions = {}): Promise<string[]> =>
  (await problemsOf(config, options)).map((p) => `${p.where}: ${p.sentence}`);

async function configOf(config: object): Promise<VmedicConfig> {
  const loaded = await checkConfig(stringify(config), file);
  if (!loaded.ok) throw new Error(loaded.problems.map(problemText).join('\n'));
  return loaded.config;
}

describe('a config with several mistakes', () => {
  /** Each mistake and what it should have been. */
  const written = (how: 'wrong' | 'right'): string => {
    const pick = (wrong: string, right: string): string => (how === 'wrong' ? wrong : right);
    return [
      'version: 1',
      'clusters:',
      '  - id: lab',
      `    ${pick('mod', 'mode')}: automatic`,
      '    hosts:',
      '      - id: hv-a',
      `        hypervisor: { driver: ${pick('libvrt', 'libvirt')}, uri: 'qemu:///system' }`,
      '        commands: { driver: ssh, target: hv-a }',
      `        capacity: { memoryMiB: ${pick('lots', '1024')}, vcpus: 2 }`,
      `        pools: [${pick('shard', 'shared')}]`,
      `      - id: ${pick('hv-a', 'hv-b')}`,
      "        hypervisor: { driver: libvirt, uri: 'qemu:///system' }",
      '        commands: { driver: ssh, target: hv-a }',
      '        capacity: { memoryMiB: 1024, vcpus: 2 }',
      '    policy:',
      `      confirmEvery: ${pick('30', '30s')}`,
      `      concurrency: { window: ${pick('2', '20')}, perHost: 8 }`,
      'pools:',
      '  - { id: shared, type: dir, lockStrategy: none }',
    ].join('\n');
  };
  const text = written('wrong');

  it('is refused with all of them at once, in the order of the file, each with line, column and the way out', async () => {
    const errors = (await problemsOf(text)).filter((p) => p.severity === 'error');
    expect(errors.map(({ line, column, where, sentence }) => [line, column, where, sentence])).toEqual([
      [4, 5, 'clusters[0].mod', 'there is no such key here; did you mean mode?'],
      [
        7,
        23,
        'clusters[0].hosts[0].hypervisor.driver',
        'is "libvrt", which is none of libvirt, vsphere, simulated; did you mean libvirt?',
      ],
      [9, 21, 'clusters[0].hosts[0].capacity.memoryMiB', 'must be a number, not "lots"'],
      [10, 17, 'clusters[0].hosts[0].pools[0]', 'there is no pool shard; did you mean shared?'],
      [11, 9, 'clusters[0].hosts[1].id', expect.stringContaining('host hv-a is declared on line 6 already')],
      [
        15,
        5,
        'clusters[0].policy',
        expect.stringContaining('concurrency.perHost (8) is above concurrency.window (2)'),
      ],
      [
        16,
        7,
        'clusters[0].policy.confirmEvery',
        expect.stringContaining('a duration is written with its unit'),
      ],
    ]);
  });

  it('is named as FILE:LINE:COLUMN, so that editors and terminals find the place', async () => {
    const [first] = await problemsOf(text);
    expect(first && problemText(first)).toMatch(/vmedic\.yaml:4:5: error: clusters\[0\]\.mod: /);
  });

  it('passes when they are put right', async () => {
    const loaded = await checkConfig(written('right'), file);
    expect(loaded.ok ? [] : loaded.problems.map(problemText)).toEqual([]);
  });
});

describe('what a config may not say', () => {
  it.each([
    ['a password itself', { password: 'hunter2' }, 'a secret is a reference, never the secret itself'],
    [
      'a password among the options',
      { options: { ip: 'a', passwd: 'hunter2' } },
      'a secret does not stand among the options',
    ],
  ])('%s', async (_, device, sentence) => {
    const fencing = [{ name: 'bmc', devices: [{ id: 'b', agent: 'fence_ipmilan', ...device }] }];
    const found = await sentences(sound({}, { hosts: [host('hv-a', { fencing })] }));
    expect(found).toEqual([expect.stringContaining(sentence)]);
    expect(found.join()).not.toContain('hunter2');
  });

  it.each([
    ['a version it does not know', sound({ version: 2 }), 'version: must be 1'],
    [
      'a database password in the clear',
      sound({ inventory: { url: 'postgresql://me:secret@db/v' } }),
      'inventory.url: holds a password',
    ],
    [
      'a health pattern that is no pattern',
      sound({ health: { default: { kind: 'console', pattern: '(' } } }),
      'health.default.pattern: is no regular expression',
    ],
    [
      'a host that is half simulated',
      sound(
        { simulated: { socket: '/x' } },
        { hosts: [host('hv-a', { commands: { driver: 'simulated' } })] },
      ),
      'hv-a is half simulated',
    ],
    [
      'a mix of simulated and real hosts',
      sound(
        { simulated: { socket: '/x' } },
        {
          hosts: [
            host('hv-a'),
            host('hv-b', { hypervisor: { driver: 'simulated' }, commands: { driver: 'simulated' } }),
          ],
        },
      ),
      'do not mix',
    ],
    [
      'one fence device twice',
      sound({}, { hosts: [host('hv-a'), host('hv-b', { fencing: host('hv-a').fencing })] }),
      'fence device hv-a-bmc is declared on line',
    ],
    [
      'a fence level without a device',
      sound({}, { hosts: [host('hv-a', { fencing: [{ name: 'x', devices: [] }] })] }),
      'a level without a device proves nothing',
    ],
    [
      'a read-back shorter than a list may be old',
      sound({}, { policy: { readBackDeadline: '10s' } }),
      'readBackDeadline (10000 ms) is below 35000 ms',
    ],
    [
      'a priority that does not exist',
      sound({}, { vms: { web: { priority: 9 } } }),
      'clusters[0].vms.web.priority: is 1 (comes back first) to 5',
    ],
    ['nothing at all', '', 'is empty'],
    ['what is no YAML', 'clusters: [', 'is no YAML'],
    ['a key twice', 'version: 1\nversion: 1', 'is no YAML: Map keys must be unique'],
  ])('%s', async (_, config, sentence) => {
    expect((await sentences(config)).join('\n')).toContain(sentence);
  });
});

describe('what a config is warned of', () => {
  it('a host without a fence level leaves its VMs unprotected, and the config is sound all the same', async () => {
    const loaded = await checkConfig(stringify(sound({}, { hosts: [host('hv-a', { fencing: [] })] })), file);
    expect(loaded.ok).toBe(true);
    expect(loaded.ok && loaded.warnings.map((w) => w.sentence)).toEqual([
      expect.stringContaining('its VMs are unprotected'),
    ]);
  });

  it('a pool without a lock strategy, or of a kind that nothing serves, is unsupported, never guessed', async () => {
    const config = sound({ pools: [{ id: 'nfs-1', type: 'nfs', path: '/mnt/nfs-1' }] });
    expect(await sentences(config)).toEqual([expect.stringContaining('names no lockStrategy')]);
    expect(fleetOf(await configOf(config)).pools[0]?.lockStrategy).toBe('unsupported');
    const odd = sound({ pools: [{ id: 'odd', type: 'rbd', lockStrategy: 'none' }] });
    expect(await sentences(odd)).toEqual([expect.stringContaining('has no driver for')]);
  });

  it('nothing, when there is nothing: negative control', async () => {
    expect(await sentences(sound())).toEqual([]);
  });
});

describe('what only the machine can tell', () => {
  const withPassword = (password: string) =>
    sound(
      {},
      {
        hosts: [
          host('hv-a', {
            fencing: [{ name: 'bmc', devices: [{ id: 'b', agent: 'fence_ipmilan', password }] }],
          }),
        ],
      },
    );

  it.each([
    ['file:nowhere', 'file:', 'there is no such file'],
    ['env:VMEDIC_TEST_UNSET', 'env:VMEDIC_TEST_UNSET', 'the environment has no VMEDIC_TEST_UNSET'],
  ])('a reference that does not resolve is named, never its value: %s', async (password, reference, why) => {
    const found = await sentences(withPassword(password), { depth: 'machine', env: {} });
    expect(found).toEqual([expect.stringContaining(why)]);
    expect(found[0]).toContain(reference);
    expect(await sentences(withPassword(password))).toEqual([]);
  });

  it('a password that everybody may read is warned of', async () => {
    const secret = join(folder, 'password');
    writeFileSync(secret, 'hunter2\n');
    chmodSync(secret, 0o644);
    const found = await sentences(withPassword('file:password'), { depth: 'machine' });
    expect(found).toEqual([expect.stringContaining('chmod 600')]);
    expect(found.join()).not.toContain('hunter2');
    chmodSync(secret, 0o600);
    expect(await sentences(withPassword('file:password'), { depth: 'machine' })).toEqual([]);
    expect(resolveSecret('file:password', folder)).toEqual({ ok: true, value: 'hunter2' });
  });

  it('what a fence agent says of its options is named with the device, and the agent never sees the password', async () => {
    const seen: unknown[] = [];
    const checkAgent = (agent: string, options: object): Promise<string[]> => {
      seen.push(agent, options);
      return Promise.resolve(['it has no option "ipp"; did you mean ip?']);
    };
    const found = await sentences(withPassword('env:BMC'), {
      depth: 'machine',
      env: { BMC: 'hunter2' },
      checkAgent,
    });
    expect(found).toEqual([
      'clusters[0].hosts[0].fencing[0].devices[0].options: b: it has no option "ipp"; did you mean ip?',
    ]);
    expect(JSON.stringify(seen)).not.toContain('hunter2');
  });

  it('a mistake in one place keeps no other from being named: keys, agents and secrets come together', async () => {
    const broken = { ...withPassword('env:NOPE'), bogus: true };
    const found = await sentences(broken, {
      depth: 'machine',
      env: {},
      checkAgent: () => Promise.resolve(['it has no option "ipp"; did you mean ip?']),
    });
    expect(found).toHaveLength(3);
    expect(found.join()).toMatch(/bogus/);
    expect(found.join()).toMatch(/NOPE/);
    expect(found.join()).toMatch(/ipp/);
  });

  it('a folder is no config, and is named as what it is', async () => {
    const loaded = await loadConfig(folder);
    expect(!loaded.ok && loaded.problems[0]?.sentence).toContain('it is a folder');
  });

  it('a config file that is not there is a problem with a way out, not an exception', async () => {
    const loaded = await loadConfig(join(folder, 'nowhere.yaml'));
    expect(!loaded.ok && loaded.problems[0]?.sentence).toContain('there is no such file');
  });
});

describe('what the rest of VMedic gets of it', () => {
  it('every default is filled in, and a new cluster only observes', async () => {
    const [cluster] = fleetOf(await configOf(sound())).clusters;
    expect(cluster?.mode).toBe('observe');
    expect(cluster?.policy).toEqual(defaultPolicy);
  });

  it('durations arrive in milliseconds, and what is written wins over the default', async () => {
    const written = {
      policy: { confirmEvery: '500ms', fenceRetry: { max: '2m' }, blastRadius: { hosts: 2 } },
    };
    const policy = fleetOf(await configOf(sound({}, written))).clusters[0]?.policy;
    expect(policy).toEqual({
      ...defaultPolicy,
      confirmEveryMs: 500,
      fenceRetryMs: { ...defaultPolicy.fenceRetryMs, max: 120_000 },
      blastRadius: { ...defaultPolicy.blastRadius, hosts: 2 },
    });
  });

  it("health is the VM's own, else the cluster's, else the file's, else that it runs", async () => {
    const beat = { kind: 'console', pattern: 'beat', timeout: '20s' };
    const tcp = { kind: 'tcp', address: '192.0.2.9', port: 22 };
    const config = sound({ health: { default: beat } }, { vms: { web: { health: tcp } } });
    const [cluster] = fleetOf(await configOf(config)).clusters;
    expect(cluster?.policy.health).toEqual({ kind: 'console', pattern: 'beat', timeoutMs: 20_000 });
    expect(cluster?.vms['web']?.health).toEqual({
      kind: 'tcp',
      address: '192.0.2.9',
      port: 22,
      timeoutMs: 60_000,
    });
  });

  it('passwords and agent options stay out of it', async () => {
    const fencing = [
      {
        name: 'bmc',
        devices: [{ id: 'b', agent: 'fence_ipmilan', options: { ip: '192.0.2.7' }, password: 'env:BMC' }],
      },
    ];
    const fleet = JSON.stringify(fleetOf(await configOf(sound({}, { hosts: [host('hv-a', { fencing })] }))));
    expect(fleet).toContain('fence_ipmilan');
    expect(fleet).not.toMatch(/192\.0\.2\.7|env:BMC/);
  });

  it('relative paths are those of the config, wherever it is read from', async () => {
    const config = await configOf(sound({ stateDir: 'state', simulated: { socket: 'world' } }));
    expect([config.stateDir, config.simulated?.socket]).toEqual([
      join(folder, 'state'),
      join(folder, 'world'),
    ]);
  });
});

describe('durations', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
  ])('%s is %d ms, and back', (text, ms) => {
    expect(durationMs(text)).toBe(ms);
    expect(durationText(ms)).toBe(text);
  });

  it.each(['30', '1.5s', '-1s', 's', '30 s'])('%j is none', (text) => {
    expect(() => durationMs(text)).toThrow(RangeError);
  });
});

describe('guessing what was meant', () => {
  it.each([
    ['mod', 'mode'],
    ['nsf', 'nfs'],
    ['timeoutSeconds', 'timeout'],
    ['invntory', 'inventory'],
  ])('%s may be %s', (found, meant) => {
    expect(closest(found, ['mode', 'nfs', 'timeout', 'inventory', 'clusters'])).toBe(meant);
  });

  it('is left when nothing is near', () => {
    expect(closest('colour', ['mode', 'nfs', 'timeout'])).toBeUndefined();
  });
});

describe('the published schema', () => {
  it('is JSON Schema, forbids unknown keys and names what is required', () => {
    const schema = configSchema();
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      additionalProperties: false,
      required: ['version', 'clusters'],
    });
    expect(JSON.stringify(schema)).toContain('"automatic"');
  });
});
