import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseTraceParent, spanOfRun, traceParentText } from '../../../domain/trace-parent';
import { tracingWanted } from '../../../workers/tracing';

const parent = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true };

describe('a trace parent', () => {
  it('is read as it was written', () => {
    expect(traceParentText(parent)).toBe('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
    for (const sampled of [true, false])
      expect(parseTraceParent(traceParentText({ ...parent, sampled }))).toEqual({ ...parent, sampled });
  });

  it.each([
    undefined,
    7,
    '',
    'x'.repeat(55),
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`,
    '00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01',
  ])('that is none (%p) is no reason to refuse anything: it counts as left out', (text) => {
    expect(parseTraceParent(text)).toBeUndefined();
  });

  it("of what a run begins is the run's own, the same however often it is replayed", () => {
    const run = '019a9f1c-27e0-7b5e-8c11-2f6d1b7a90c4';
    expect(spanOfRun(run)).toBe('8c112f6d1b7a90c4');
    expect(parseTraceParent(traceParentText({ ...parent, spanId: spanOfRun(run) }))).toBeDefined();
  });
});

describe('tracing', () => {
  it.each<[env: NodeJS.ProcessEnv, wanted: boolean]>([
    [{}, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }, true],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }, true],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_SDK_DISABLED: 'true' }, false],
  ])('with %p is wanted: %p', (env, wanted) => {
    expect(tracingWanted(env)).toBe(wanted);
  });

  it('that nobody wants is not even loaded; one that somebody wants is', () => {
    const root = join(__dirname, '..', '..', '..');
    const loaded = (env: NodeJS.ProcessEnv): string => {
      const script = `require('./workers/tracing').startTracing('vmedic-api').then(() => process.stdout.write(String(
        Object.keys(require.cache).some((file) => file.includes('@opentelemetry/sdk-trace'))), () => process.exit(0)))`;
      const preload = ['-r', join(root, 'test', 'support', 'typescript-child.cjs')];
      return execFileSync(process.execPath, [...preload, '-e', script], { cwd: root, env, encoding: 'utf8' });
    };
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
    expect(loaded(env)).toBe('false');
    expect(loaded({ ...env, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' })).toBe('true');
  });
});
