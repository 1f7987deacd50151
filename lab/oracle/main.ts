/** `node dist/lab/oracle/main.js DISK [--format raw|qcow2] [--serial FILE] [--vm UUID] [--boots N]`: one JSON document, exit 0, 1 or 2. */
import { parseArgs } from 'node:util';
import type { DiskFormat } from '../guest/disk';
import { judgeDiskFile } from './read-disk';

const EXIT = { CLEAN: 0, VIOLATION: 1, UNKNOWN: 2 } as const;
const USAGE =
  'usage: oracle DISK [--format raw|qcow2] [--serial FILE] [--vm UUID] [--boots N]\n' +
  'exit code: 0 CLEAN, 1 VIOLATION (two writers, lost writes, a wrong disk), 2 UNKNOWN, 64 wrong usage\n';

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      format: { type: 'string', default: 'raw' },
      serial: { type: 'string' },
      vm: { type: 'string' },
      boots: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const path = positionals[0];
  const { format, serial, vm, boots } = values;
  if (values.help === true || path === undefined || !['raw', 'qcow2'].includes(format)) {
    process.stderr.write(USAGE);
    return values.help === true ? 0 : 64;
  }
  const verdict = await judgeDiskFile({
    path,
    format: format as DiskFormat,
    serial,
    vm,
    boots: boots === undefined ? undefined : Number(boots),
  });
  process.stdout.write(`${JSON.stringify(verdict)}\n`);
  return EXIT[verdict.verdict];
}

main().then(
  (code) => (process.exitCode = code),
  (cause: unknown) => {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n${USAGE}`);
    process.exitCode = 64;
  },
);
