/**
 * Every route asked with whatever its own description allows, and what it forbids, by schemathesis: no answer that is a defect, none that is not
 * described. For soaks: VMEDIC_SOAK=true, with `st` on PATH or named by VMEDIC_SCHEMATHESIS (pip install schemathesis).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ApiUnderTest, apiUnderTest } from '../support/api';
import { testIf } from '../support/optional';

const soak = process.env['VMEDIC_SOAK'] === 'true';
const program =
  process.env['VMEDIC_SCHEMATHESIS'] ??
  (process.env['PATH'] ?? '')
    .split(':')
    .map((folder) => join(folder, 'st'))
    .find((path) => existsSync(path));
const examples = process.env['VMEDIC_FUZZ_EXAMPLES'] ?? '50';

const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'response_headers_conformance',
].join(',');

let api: ApiUnderTest;
afterEach(() => api.close());

function run(args: readonly string[]): Promise<{ code: number | null; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program ?? '', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (some: string) => (said += some));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, said }));
  });
}

testIf(
  soak && program !== undefined,
  'a soak alone fuzzes the whole description, with schemathesis',
  'beyond-ci',
)(
  'answers nothing but what it describes, whatever is asked',
  async () => {
    api = await apiUnderTest({ hosts: 2, vmsPerHost: 1, mode: 'observe' });
    const { code, said } = await run([
      ...[
        'run',
        `${api.base}/openapi.json`,
        '--url',
        api.base,
        '--checks',
        checks,
        '--max-examples',
        examples,
      ],
      ...[
        '--header',
        `Authorization: Bearer ${api.tokens.approver}`,
        '--phases',
        'examples,coverage,fuzzing',
      ],
      ...['--exclude-path', '/metrics', '--no-color'],
    ]);
    expect(`${code}\n${code === 0 ? '' : said}`).toBe('0\n');
  },
  1_800_000,
);
