/**
 * Records the histories of this release from real runs into a folder given. Never written by hand: what replays is what happened. Only
 * what names the machine is taken out; everything that replay reads stays, the SDK's own metadata included.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { bundle, postgres, stopAll, temporal } from '../setup/servers';
import { recoverySystem } from '../support/recovery-system';
import { cellOf, type HistoryFile, missingCells, type RecordedHistory } from './cells';
import { stories } from './stories';

const top = resolve(__dirname, '..', '..');
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };

async function main(): Promise<void> {
  const [into] = process.argv.slice(2);
  if (into === undefined) throw new Error('name the folder to record into');
  await Promise.all([temporal(), postgres(), bundle()]);
  const files: HistoryFile[] = [];
  try {
    for (const [title, story] of Object.entries(stories)) {
      process.stderr.write(`  ${title}\n`);
      const system = await recoverySystem(story.options ?? {});
      for (const { pins, run } of await story.tell(system)) {
        const history = plain(historyToJSON(await run.fetchHistory()));
        files.push({ name: `${cellOf(history).split(' ')[0]}/${version}--${pins}.json`, history });
      }
      await system.close();
    }
  } finally {
    await stopAll();
  }
  const missing = missingCells(files);
  if (missing.length > 0) throw new Error(`no story came to: ${missing.join(', ')}`);
  for (const { name, history } of files) {
    const file = join(into, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(history)}\n`);
  }
}

/** Without what names the machine: process and host in identities and sticky queues, the checkout's path in stack traces. */
function plain(json: unknown): RecordedHistory {
  const text = typeof json === 'string' ? json : JSON.stringify(json);
  const scrubbed = text
    .replace(/\d+@[\w.-]+/g, 'worker')
    .replaceAll(`${top}/`, '')
    .replaceAll(hostname().length > 3 ? hostname() : '\u0000', 'host');
  return JSON.parse(scrubbed) as RecordedHistory;
}

// Ended outright: the servers are stopped by now, and the Temporal runtime keeps a process alive that has nothing left to do.
main().then(
  () => process.exit(),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
