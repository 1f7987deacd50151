/** Databases for tests: each a copy of one that was migrated once per server, which costs a file copy and not a migration. */
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { migrateInventory } from '../../drivers/postgres';
import { migrationsFolder } from '../../drivers/postgres/migrate';

/** Test processes of one run share a server: one of them makes the template, the others wait. Any number. */
const templateLock = 5_120_733_306;

export interface Database {
  readonly url: string;
  drop(): Promise<void>;
}

/** @param server URL of any database on it whose user may create databases. */
export async function migratedDatabase(server: string): Promise<Database> {
  const name = `t_${randomUUID().replaceAll('-', '')}`;
  const template = await templateOf(server);
  await query(server, `create database ${name} template ${template}`);
  return {
    url: withDatabase(server, name),
    drop: async () => {
      await query(server, `drop database if exists ${name} with (force)`);
    },
  };
}

export async function emptyDatabase(server: string): Promise<Database> {
  const name = `e_${randomUUID().replaceAll('-', '')}`;
  await query(server, `create database ${name}`);
  return {
    url: withDatabase(server, name),
    drop: async () => {
      await query(server, `drop database if exists ${name} with (force)`);
    },
  };
}

/** One statement on a connection of its own: for looking behind the driver's back. */
export async function query(url: string, sql: string, values: unknown[] = []): Promise<unknown[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

export function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.toString();
}

const made = new Map<string, Promise<string>>();

function templateOf(server: string): Promise<string> {
  let template = made.get(server);
  if (template === undefined) {
    template = makeTemplate(server);
    made.set(server, template);
    // A server that was away must not stay "failed" for the next test.
    template.catch(() => made.delete(server));
  }
  return template;
}

async function makeTemplate(server: string): Promise<string> {
  const journal = readFileSync(join(migrationsFolder(), 'meta', '_journal.json'));
  const name = `template_${createHash('sha256').update(journal).digest('hex').slice(0, 16)}`;
  const client = new Client({ connectionString: server, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [templateLock]);
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount === 1) return name;
    // Renamed when complete: a half-migrated one is never copied.
    await client.query(`drop database if exists ${name}_part with (force)`);
    await client.query(`create database ${name}_part`);
    await migrateInventory(withDatabase(server, `${name}_part`));
    await client.query(`alter database ${name}_part rename to ${name}`);
    return name;
  } finally {
    await client.end();
  }
}
