/**
 * Every route asked with whatever its own description allows, and what it forbids, by schemathesis: no answer that is a defect, none that is not
 * described. CI asks each route a little, a soak (VMEDIC_SOAK=true) for long; VMEDIC_FUZZ_EXAMPLES sets how much.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApiUnderTest, apiUnderTest } from '../support/api';
import { describeIf } from '../support/optional';
import { sampleSeed } from '../support/seeded-sample';
import { cachesToRead } from '../../workers/embedded/cache-dir';

const soak = process.env['VMEDIC_SOAK'] === 'true';
const program = [
  ...(process.env['PATH'] ?? '').split(':'),
  // Where `make schemathesis` put it.
  ...cachesToRead()
    .map((cache) => join(cache, 'schemathesis'))
    .flatMap((folder) => (existsSync(folder) ? readdirSync(folder).map((v) => join(folder, v, 'bin')) : [])),
]
  .map((folder) => join(folder, 'st'))
  .find((path) => existsSync(path));
const examples = process.env['VMEDIC_FUZZ_EXAMPLES'] ?? (soak ? '50' : '2');
const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'response_headers_conformance',
].join(',');

function fuzz(url: string, token: string): Promise<{ code: number | null; said: string }> {
  // It keeps what it learnt in the folder that it runs in.
  const folder = mkdtempSync(join(tmpdir(), 'vmf-'));
  const args = [
    ...['run', `${url}/openapi.json`, '--url', url, '--checks', checks, '--seed', String(sampleSeed)],
    ...['--max-examples', examples, '--phases', 'examples,coverage,fuzzing', '--exclude-path', '/metrics'],
    ...['--header', `Authorization: Bearer ${token}`, '--no-color', '--generation-database', 'none'],
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(program ?? '', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (some: string) => (said += some));
    child.once('error', reject);
    child.once('close', (code) => {
      rmSync(folder, { recursive: true, force: true });
      resolve({ code, said });
    });
  });
}

describeIf(
  program !== undefined,
  'schemathesis is not there: make schemathesis',
  'beyond-ci',
)('the description of the API', () => {
  let api: ApiUnderTest | undefined;
  afterEach(async () => {
    await api?.close();
    api = undefined;
  });

  it(
    `is kept by every answer, whatever is asked [seed ${sampleSeed}]`,
    async () => {
      api = await apiUnderTest({ hosts: 2, vmsPerHost: 1, mode: 'observe' });
      const { code, said } = await fuzz(api.base, api.tokens.approver);
      expect(`${code}\n${code === 0 ? '' : said}`).toBe('0\n');
      expect(api.logged.filter((line) => line.includes('"level":50'))).toEqual([]);
    },
    soak ? 1_800_000 : 180_000,
  );

  it('is seen to be broken by an answer that it does not name, and by a defect', async () => {
    const statuses: Readonly<Record<string, number>> = { '/undeclared': 418, '/defect': 500 };
    const paths = Object.fromEntries(
      Object.keys(statuses).map((path) => [path, { get: { responses: { 200: { description: 'fine' } } } }]),
    );
    const server = createServer((request, response) => {
      const document = { openapi: '3.1.0', info: { title: 'broken', version: '1' }, paths };
      response.writeHead(statuses[request.url ?? ''] ?? 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(request.url === '/openapi.json' ? document : {}));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? (address?.port ?? 0) : 0}`;
    try {
      const { code, said } = await fuzz(url, 'nobody');
      expect(code).toBe(1);
      expect(said).toContain('Undocumented status code');
      expect(said).toContain('Server error');
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }, 60_000);
});
