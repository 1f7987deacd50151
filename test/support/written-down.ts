/** All that VMedic leaves anywhere while it works: what must hold no secret. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { query } from './databases';

export interface Places {
  /** Where its processes keep their logs, however deep. */
  readonly folder: string;
  readonly client: Client;
  readonly inventoryUrl: string;
}

export interface WrittenDown {
  readonly logs: readonly string[];
  /** Of every run; payloads are base64, so what they hold is there in clear as well. */
  readonly histories: readonly string[];
  /** A row each, of every table. */
  readonly rows: readonly string[];
}

export async function writtenDown({ folder, client, inventoryUrl }: Places): Promise<WrittenDown> {
  const logs = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.log'))
    .map((file) => readFileSync(join(folder, file), 'latin1'));
  const histories: string[] = [];
  for await (const run of client.workflow.list()) {
    const handle = client.workflow.getHandle(run.workflowId, run.runId);
    const text = historyToJSON(await handle.fetchHistory());
    const decoded = [...text.matchAll(/"data":\s*"([A-Za-z0-9+/=]+)"/g)].map(([, data]) =>
      Buffer.from(data ?? '', 'base64').toString('utf8'),
    );
    histories.push([text, ...decoded].join('\n'));
  }
  const tables = (await query(
    inventoryUrl,
    `select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables
     where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`,
  )) as { name: string }[];
  const rows: string[] = [];
  for (const { name } of tables)
    for (const row of await query(inventoryUrl, `select to_jsonb(t)::text as text from ${name} t`))
      rows.push((row as { text: string }).text);
  return { logs, histories, rows };
}

/** Where each of these was found; empty when nowhere. */
export const secretsIn = (written: WrittenDown, secrets: readonly string[]): string[] =>
  Object.entries(written).flatMap(([place, texts]) =>
    secrets
      .map((secret, n) => ({ n, found: (texts as readonly string[]).some((text) => text.includes(secret)) }))
      .filter(({ found }) => found)
      // By its number: a test's message must not tell it either.
      .map(({ n }) => `secret ${n} stands in ${place}`),
  );
