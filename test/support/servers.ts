import { randomUUID } from 'node:crypto';
import { Client } from 'pg';

/** The address of the run's Temporal server. Use a task queue and workflow ids of your own on it. */
export function temporalAddress(): string {
  return fromSetup('VMEDIC_TEST_TEMPORAL');
}

/** The file of the workflow bundle: `workflowBundle: { codePath: workflowBundlePath() }`. */
export function workflowBundlePath(): string {
  return fromSetup('VMEDIC_TEST_WORKFLOW_BUNDLE');
}

export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** An empty database of one's own on the run's PostgreSQL. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = fromSetup('VMEDIC_TEST_POSTGRES');
  const name = `t_${randomUUID().replaceAll('-', '')}`;
  await query(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.toString(), drop: () => query(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}

async function query(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function fromSetup(variable: string): string {
  const value = process.env[variable];
  if (!value) throw new Error(`${variable} is not set: this project has no setup for it in jest.config.js`);
  return value;
}
