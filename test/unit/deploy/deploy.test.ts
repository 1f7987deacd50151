/**
 * The files for a real installation, read by the parsers that will read them there. No container runs in these tests. The schema beside this
 * file is the Compose Specification's own (github.com/compose-spec/compose-go, Apache-2.0).
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import Ajv from 'ajv';
import { DockerfileParser } from 'dockerfile-ast';
import { parse } from 'yaml';
import { checkConfig } from '../../../workers/config';
import { cachesToRead } from '../../../workers/embedded/cache-dir';
import { nodeOptions, preload } from '../../../workers/embedded/worker-process';
import { workerQueues } from '../../../workers/worker';
import { monitoringProgram, type MonitoringProgram } from '../../support/monitoring';
import { testIf } from '../../support/optional';

const root = resolve(__dirname, '..', '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmd-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Service {
  readonly image?: string;
  readonly command?: string | readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: object;
  readonly deploy?: { readonly replicas?: number };
  readonly configs?: readonly { readonly source: string }[];
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly configs: Readonly<Record<string, unknown>>;
}

/** Everything that is wrong with a compose file, beyond its shape. */
function composeProblems(text: string): string[] {
  const compose = parse(text, { merge: true }) as Compose;
  const schema = JSON.parse(read('test/unit/deploy/compose-spec.json')) as object;
  const validate = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile({
    ...schema,
    $schema: 'http://json-schema.org/draft-07/schema#',
  });
  const problems: string[] = [];
  if (!validate(compose))
    problems.push(...(validate.errors ?? []).map((e) => `${e.instancePath}: ${e.message ?? ''}`));
  for (const [name, service] of Object.entries(compose.services)) {
    const { image = '' } = service;
    if (!/:v?\d+\.\d+/.test(image)) problems.push(`${name}: the image ${image} names no exact version`);
    for (const port of service.ports ?? [])
      if (!port.startsWith('127.0.0.1:')) problems.push(`${name}: port ${port} is open to other machines`);
    for (const [variable, value] of Object.entries(service.environment ?? {}))
      if (/PASSWORD|PWD|SECRET|TOKEN/.test(variable) && !/^\$\{\w+(:\?[^}]+)?\}$/.test(value))
        problems.push(`${name}: ${variable} is written down`);
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      const there = compose.services[other];
      if (there === undefined) problems.push(`${name}: depends on ${other}, which is not there`);
      if (condition === 'service_healthy' && there?.healthcheck === undefined)
        problems.push(`${name}: waits for the health of ${other}, which has no check`);
    }
    for (const { source } of service.configs ?? [])
      if (!(source in compose.configs)) problems.push(`${name}: there is no config ${source}`);
    for (const mount of service.volumes ?? []) {
      const from = mount.replace(/^\$\{\w+:-([^}]+)\}/, '$1').split(':')[0] ?? '';
      if (!from.startsWith('.') && !(from in compose.volumes))
        problems.push(`${name}: there is no volume ${from}`);
      // Made by the installer: the config, its secrets and the certificate.
      const made = /^\.\/(vmedic\.yaml|secrets|deploy\/tls)/.test(from);
      if (from.startsWith('.') && !made && !existsSync(join(root, from)))
        problems.push(`${name}: ${from} is not in the repository`);
    }
  }
  return problems;
}

describe('docker-compose.yml', () => {
  it('is sound: its shape, its references, exact versions, no literal secret, nothing open to other machines', () => {
    expect(composeProblems(read('docker-compose.yml'))).toEqual([]);
  });

  it.each([
    ['names no exact version', 'image: temporalio/ui:2.50.1', 'image: temporalio/ui:latest'],
    ['open to other machines', "'127.0.0.1:9090:9090'", "'9090:9090'"],
    ['is written down', '${GRAFANA_PASSWORD:?choose a password for Grafana}', 'grafana'],
    ['which is not there', 'temporal-schema: { condition', 'temporal-scheme: { condition'],
    ['no volume', 'prometheus-data:/prometheus', 'prom-data:/prometheus'],
    ['must be', 'stop_grace_period: 30s', 'stop_grace_period: [30s]'],
  ])('and one that is not ("%s") is found out', (problem, from, to) => {
    const text = read('docker-compose.yml');
    expect(text).toContain(from);
    expect(composeProblems(text.replace(from, to)).join('\n')).toContain(problem);
  });

  it('runs the commands that there are, and every queue has two workers', () => {
    const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
    expect(services['api']?.command).toEqual(['server']);
    const workers = Object.values(services).filter((s) => s.command?.[0] === 'worker');
    const queues = workers.map(({ command, deploy }) => [command?.slice(1), deploy?.replicas]);
    expect(queues).toEqual(workerQueues.map((queue) => [['--queue', queue], 2]));
    const setup = String(services['setup']?.command);
    for (const command of [
      'vmedic setup',
      'token create prometheus --role viewer',
      'token create alertmanager --role operator',
    ])
      expect(setup).toContain(command);
  });
});

/** Unpacked by `make hadolint`. */
const hadolint = cachesToRead()
  .map((cache) => join(cache, 'hadolint'))
  .flatMap((kept) =>
    existsSync(kept) ? readdirSync(kept).map((version) => join(kept, version, 'hadolint')) : [],
  )
  .find((path) => existsSync(path));

function dockerfileProblems(text: string): string[] {
  const file = DockerfileParser.parse(text);
  const all = file.getInstructions();
  const problems: string[] = [];
  const last = <T>(items: readonly T[]): T | undefined => items.at(-1);
  for (const from of file.getFROMs())
    if (!/:\d+\.\d+\.\d+-/.test(from.getImage() ?? ''))
      problems.push(`${from.getImage() ?? ''} is no exact version`);
  const user = last(all.filter((i) => i.getKeyword() === 'USER'))?.getArgumentsContent() ?? 'root';
  if (/^(root|0)(:|$)/.test(user)) problems.push('it runs as root');
  for (const copy of file.getCOPYs()) {
    const words = copy.getArguments().map((a) => a.getValue());
    if (copy.getFlags().some((f) => f.getName() === 'from')) continue;
    for (const source of words.slice(0, -1))
      if (!existsSync(join(root, source))) problems.push(`it copies ${source}, which is not there`);
  }
  for (const run of all.filter((i) => i.getKeyword() === 'RUN')) {
    const words = run.getArgumentsContent() ?? '';
    if (words.includes('apt-get install') && !words.includes('--no-install-recommends'))
      problems.push('apt installs more than is named');
  }
  for (const needed of ['libvirt-clients', 'fence-agents', 'openssh-client'])
    if (!text.includes(needed)) problems.push(`it lacks ${needed}`);
  if (/alpine/i.test(text)) problems.push("Temporal's native core needs glibc");
  if (file.getENTRYPOINTs().length !== 1) problems.push('it has not one entry point');
  return problems;
}

describe('the Dockerfile', () => {
  it('is sound: glibc, exact base, an ordinary user, what virsh and fence agents need, and nothing copied that is not there', () => {
    expect(dockerfileProblems(read('Dockerfile'))).toEqual([]);
  });

  it.each([
    ['as root', 'USER 10001:10001', 'USER root'],
    ['no exact version', 'node:20.19.5-bookworm-slim AS build', 'node:20 AS build'],
    ['is not there', 'COPY domain domain', 'COPY domaine domain'],
    ['lacks fence-agents', '    fence-agents \\\n', ''],
  ])('and one that is not ("%s") is found out', (problem, from, to) => {
    expect(read('Dockerfile')).toContain(from);
    expect(dockerfileProblems(read('Dockerfile').replace(from, to)).join('\n')).toContain(problem);
  });

  const linted = (text: string): string =>
    spawnSync(hadolint ?? '', ['--no-color', '-'], { input: text, encoding: 'utf8' }).stdout;

  testIf(
    hadolint !== undefined,
    'hadolint is not there: make hadolint',
    'beyond-ci',
  )('is one that hadolint has nothing to say about, and one with a slip is found out', () => {
    expect(linted(read('Dockerfile'))).toBe('');
    expect(linted(read('Dockerfile').replace('WORKDIR /opt/vmedic', 'WORKDIR opt/vmedic'))).toContain(
      'DL3000',
    );
  });

  it('takes along every folder that is compiled', () => {
    const { include } = JSON.parse(read('tsconfig.build.json')) as { include?: string[] };
    const folders = (include ?? [])
      .map((glob) => glob.split('/')[0] ?? '')
      .filter((f) => f !== '' && !f.includes('*'));
    for (const name of folders) expect(read('Dockerfile')).toContain(`COPY ${name} ${name}`);
  });
});

it('the sample config is sound, and starts in the mode that touches nothing', async () => {
  const checked = await checkConfig(read('deploy/vmedic.yaml'), 'deploy/vmedic.yaml');
  expect(checked).toMatchObject({ ok: true, warnings: [] });
  if (checked.ok) expect(checked.config.clusters.map((c) => c.mode)).toEqual(['observe']);
});

const run = (program: string, args: readonly string[], cwd = root): string => {
  const ended = spawnSync(program, args, { cwd, encoding: 'utf8' });
  return ended.status === 0 ? '' : `${ended.stdout}${ended.stderr}`;
};

describe("Prometheus' files", () => {
  const withProgram = (name: MonitoringProgram, what: string, body: (program: string) => void): void => {
    const program = monitoringProgram(name);
    testIf(program !== undefined, `${name} is not there`, 'beyond-ci')(what, () => body(program ?? ''));
  };

  withProgram('promtool', 'the rules are read by Prometheus, and its own tests of them pass', (promtool) => {
    const at = join(root, 'deploy', 'prometheus');
    expect(run(promtool, ['check', 'rules', 'vmedic.rules.yml'], at)).toBe('');
    expect(run(promtool, ['test', 'rules', 'vmedic.rules.test.yml'], at)).toBe('');
    expect(run(promtool, ['check', 'config', '--syntax-only', 'prometheus.yml'], at)).toBe('');
  });

  withProgram('promtool', 'a rule that is broken is found out', (promtool) => {
    const broken = join(folder, 'broken.yml');
    writeFileSync(
      broken,
      read('deploy/prometheus/vmedic.rules.yml').replace('up{job="vmedic"} == 0', 'up{job='),
    );
    expect(run(promtool, ['check', 'rules', broken])).toContain('parse error');
  });

  withProgram('amtool', "Alertmanager's config is read by Alertmanager", (amtool) => {
    expect(run(amtool, ['check-config', join('deploy', 'alertmanager', 'alertmanager.yml')])).toBe('');
  });

  withProgram('promtool', 'every expression of the dashboard is one of PromQL', (promtool) => {
    const rules = dashboardExpressions().map((expr, n) => ({
      record: `dashboard:${n}`,
      expr: expr.replaceAll('$cluster', '.*'),
    }));
    const file = join(folder, 'dashboard.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    expect(run(promtool, ['check', 'rules', file])).toBe('');
  });
});

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly expr: string; readonly refId: string }[];
}
const dashboard = (): { uid: string; panels: readonly Panel[] } =>
  JSON.parse(read('deploy/grafana/dashboards/vmedic.json')) as { uid: string; panels: readonly Panel[] };
const dashboardExpressions = (): string[] => dashboard().panels.flatMap((p) => p.targets.map((t) => t.expr));

describe("Grafana's dashboard", () => {
  it('has panels with titles of their own, none over another', () => {
    const { panels } = dashboard();
    expect(panels.length).toBeGreaterThan(10);
    expect(new Set(panels.map((p) => p.id)).size).toBe(panels.length);
    expect(new Set(panels.map((p) => p.title)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every((p) => p.gridPos.x + p.gridPos.w <= 24)).toBe(true);
  });

  it('asks the data source that is provisioned', () => {
    const { datasources } = parse(read('deploy/grafana/provisioning/datasources/prometheus.yml')) as {
      datasources: { uid: string }[];
    };
    expect(JSON.stringify(dashboard())).toContain(`"uid":"${datasources[0]?.uid ?? ''}"`);
  });
});

it.each(['Dockerfile', 'deploy/systemd/vmedic-worker.service'])(
  '%s starts a worker with what embedded ones are started with',
  (file) => {
    const [, given = ''] = /^(?:ENV |Environment=")NODE_OPTIONS="?(.*)"$/m.exec(read(file)) ?? [];
    const there = '/opt/vmedic/dist/workers/embedded';
    expect(given.split(' ')).toEqual(
      nodeOptions.map((option) => (option.endsWith(preload) ? `${there}/${preload}` : option)),
    );
    expect(existsSync(join(root, 'workers', 'embedded', preload.replace('.js', '.ts')))).toBe(true);
  },
);

describe('the systemd units', () => {
  const units = readdirSync(join(root, 'deploy', 'systemd')).filter((name) => name.endsWith('.service'));
  const analyze = ['/usr/bin/systemd-analyze', '/bin/systemd-analyze'].find((path) => existsSync(path));
  const there = testIf(analyze !== undefined, 'systemd is not there', 'beyond-ci');

  /** A machine with nothing on it but what the units start. */
  function verified(name: string, text: string): string {
    const machine = mkdtempSync(join(folder, 'root-'));
    const program = join(machine, 'opt', 'vmedic', 'bin', 'vmedic');
    const unit = join(machine, 'etc', 'systemd', 'system', name);
    for (const file of [program, unit]) mkdirSync(dirname(file), { recursive: true });
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
    writeFileSync(unit, text);
    const ended = spawnSync(
      analyze ?? '',
      ['verify', '--man=no', '--generators=no', `--root=${machine}`, `/etc/systemd/system/${name}`],
      {
        encoding: 'utf8',
      },
    );
    // Targets of systemd's own are not on this machine; whatever else it complains of is ours.
    const said = `${ended.stdout}${ended.stderr}`
      .split('\n')
      .filter((line) => line.includes(name) && !/not found|Failed to (load|add)/.test(line));
    return said.join('\n');
  }

  there.each(units)('%s is read by systemd without a complaint', (name) => {
    expect(verified(name, read(join('deploy', 'systemd', name)))).toBe('');
  });

  there('a unit that is broken is found out', () => {
    const broken = read('deploy/systemd/vmedic.service').replace('TimeoutStopSec=90', 'TimeoutStopSec=soon');
    expect(verified('vmedic.service', broken)).toContain('Failed to parse time value');
  });

  it('run as an ordinary user that may gain nothing', () => {
    expect(units).toEqual(['vmedic-api.service', 'vmedic-worker.service', 'vmedic.service']);
    for (const name of units)
      for (const line of [
        'User=vmedic',
        'NoNewPrivileges=yes',
        'CapabilityBoundingSet=',
        'ProtectSystem=strict',
        'Restart=always',
      ])
        expect(
          `${name} ${read(join('deploy', 'systemd', name))
            .split('\n')
            .includes(line)} ${line}`,
        ).toContain('true');
  });
});
