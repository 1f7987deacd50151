import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { exitCodes } from '../../client/cli/exit-codes';
import { judgeToken } from '../../client/tokens';
import type { AuditRecord, TokenRecord } from '../../domain/access';
import { mayActAs, roles } from '../../domain/access';
import { folder, inventory, run, session } from '../support/command-line';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Tokens as an inventory keeps them, for the length of a test. */
function kept() {
  const tokens: TokenRecord[] = [];
  const audit: Omit<AuditRecord, 'id'>[] = [];
  const reads = inventory({
    createToken(token) {
      if (tokens.some((t) => t.name === token.name && t.revokedAt === undefined))
        return Promise.resolve('name-taken');
      tokens.push({ ...token, revokedAt: undefined, lastUsedAt: undefined });
      return Promise.resolve('created');
    },
    tokens: () => Promise.resolve(tokens),
    revokeToken(name, _, at) {
      const found = tokens.findIndex((t) => t.name === name && t.revokedAt === undefined);
      if (found === -1) return Promise.resolve('not-valid');
      tokens[found] = { ...tokens[found]!, revokedAt: at };
      return Promise.resolve('revoked');
    },
    noteAudit: (entry) => Promise.resolve(audit.push(entry)),
  });
  return {
    tokens,
    audit,
    open: session(reads),
    token: { token: (id: string) => Promise.resolve(tokens.find((t) => t.tokenId === id)) },
  };
}

describe('vmedic token', () => {
  it('shows a new token once; what is kept is a hash, and the trail names who made it', async () => {
    const world = kept();
    const ran = await run(['token', 'create', 'grafana', '--role', 'viewer', '--json'], { open: world.open });
    expect(ran.exit).toBe(0);
    const { token, ...shown } = JSON.parse(ran.stdout) as { token: string; role: string };
    expect(token).toMatch(/^vmedic_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/);
    expect(shown).toMatchObject({ name: 'grafana', role: 'viewer' });
    expect(shown).not.toHaveProperty('digest');
    expect(JSON.stringify(world.tokens)).not.toContain(token.split('_').slice(2).join('_'));
    expect(await judgeToken(world.token, token, Date.now())).toMatchObject({ ok: true });
    const list = await run(['token', 'list'], { open: world.open });
    expect(list.stdout).toMatch(/grafana +viewer +valid +never/);
    expect(list.stdout + (await run(['token', 'list', '--json'], { open: world.open })).stdout).not.toContain(
      'digest',
    );
    expect(world.audit).toMatchObject([
      { action: 'token create (viewer)', target: 'grafana', via: 'command-line' },
    ]);
  });

  it('writes it to a file that only its owner may read, and leaves a valid one alone when asked to', async () => {
    const world = kept();
    const file = join(folder, 'token');
    const create = ['token', 'create', 'prometheus', '--role', 'viewer', '--write', file];
    const first = await run(create, { open: world.open });
    expect([first.exit, first.stdout]).toEqual([0, expect.not.stringContaining('vmedic_')]);
    const written = readFileSync(file, 'utf8').trim();
    expect(statSync(file).mode & 0o077).toBe(0);
    expect(await judgeToken(world.token, written, Date.now())).toMatchObject({ ok: true });
    expect((await run([...create, '--if-absent'], { open: world.open })).exit).toBe(0);
    expect(readFileSync(file, 'utf8').trim()).toBe(written);
    expect((await run(create.slice(0, 5), { open: world.open })).exit).toBe(exitCodes.refused);
  });

  it('ends with its days, and when it is revoked', async () => {
    const world = kept();
    const made = await run(['token', 'create', 'ada', '--role', 'approver', '--expires', '2d', '--json'], {
      open: world.open,
    });
    const { token } = JSON.parse(made.stdout) as { token: string };
    const judged = (inMs: number) => judgeToken(world.token, token, Date.now() + inMs);
    expect(await judged(1.9 * 86_400_000)).toMatchObject({ ok: true });
    expect(await judged(2.1 * 86_400_000)).toEqual({ ok: false, why: 'expired' });
    expect((await run(['token', 'revoke', 'ada'], { open: world.open })).exit).toBe(0);
    expect(await judged(0)).toEqual({ ok: false, why: 'revoked' });
    expect((await run(['token', 'revoke', 'ada'], { open: world.open })).exit).toBe(exitCodes.usage);
    expect((await run(['token', 'list'], { open: world.open })).stdout).toContain('revoked');
  });

  it.each([
    [['token', 'create', 'x']],
    [['token', 'create', 'x', '--role', 'root']],
    [['token', 'create', 'a b', '--role', 'viewer']],
    [['token', 'create', 'x', '--role', 'viewer', '--expires', 'soon']],
  ])('refuses %j as wrong usage', async (argv) => {
    expect((await run(argv, { open: kept().open })).exit).toBe(exitCodes.usage);
  });
});

it('each role may do what the ones before it may, and no more', () => {
  const table = roles.map((has) => roles.map((needs) => mayActAs(has, needs)));
  expect(table).toEqual([
    [true, false, false],
    [true, true, false],
    [true, true, true],
  ]);
});
