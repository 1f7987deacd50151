import { closeSync, ftruncateSync, openSync, writeFileSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { isRole, roles, type Role, type TokenRecord } from '../../../domain/access';
import { isId } from '../../../domain/ids';
import { Refusal } from '../../errors';
import { makeToken } from '../../tokens';
import { audited } from '../audited';
import { addCommand, addGroup, argument, askingOptions, type Context, type Program, text } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { since, table } from '../show';

export function addTokenCommands(program: Command, state: Program): void {
  const token = addGroup(program, 'token', 'who may use the HTTP API, and in which role', [
    'vmedic token create grafana --role viewer',
    'vmedic token list',
    'vmedic token revoke grafana',
  ]);
  addCommand(token, state, {
    usage: 'create <name>',
    summary: 'a new token; it is shown once, and kept only as a hash',
    examples: [
      'vmedic token create alertmanager --role operator',
      'vmedic token create ada --role approver --expires 90d',
      'vmedic token create prometheus --role viewer --write /etc/prometheus/vmedic.token --if-absent',
    ],
    options: [
      new Option('--role <role>', 'what it may do').choices([...roles]).makeOptionMandatory(),
      new Option('--expires <days>', 'after so many days, for instance 90d; never when left out').argParser(
        days,
      ),
      new Option(
        '--write <file>',
        'write it to this file (readable by its owner only) instead of showing it',
      ),
      new Option('--if-absent', 'do nothing when a valid token of this name is there'),
      ...askingOptions(state.io, 'optional'),
    ],
    run: create,
  });
  addCommand(token, state, {
    usage: 'list',
    summary: 'every token, its role and when it was used last',
    examples: ['vmedic token list', 'vmedic token list --json'],
    run: list,
  });
  addCommand(token, state, {
    usage: 'revoke <name>',
    summary: 'make a token worthless from now on; by its name or id',
    examples: ['vmedic token revoke grafana --reason "its machine was sold"'],
    options: askingOptions(state.io, 'optional'),
    run: revoke,
  });
}

function days(value: string): number {
  const [, count] = /^([1-9]\d{0,3})d$/.exec(value) ?? [];
  if (count === undefined) throw new InvalidArgumentError('a number of days, for instance 90d');
  return Number(count);
}

async function create(context: Context): Promise<ExitCode> {
  const name = argument(context, 0);
  const role: Role = isRole(text(context, 'role')) ? (text(context, 'role') as Role) : 'viewer';
  if (!isId(name))
    throw new Refusal(
      'usage',
      'NAME_REFUSED',
      `"${name}" cannot name a token`,
      'letters, digits, dots, dashes',
    );
  const { inventory } = await context.session();
  const by = text(context, 'by');
  const lasts = context.flags['expires'];
  const expiresAt =
    typeof lasts === 'number' ? new Date(Date.now() + lasts * 86_400_000).toISOString() : undefined;
  const { text: secret, record } = makeToken({ name, role, by, expiresAt });
  const file = context.flags['write'] === undefined ? undefined : text(context, 'write');
  // Opened before the token counts (one that nobody can read would have to be revoked), and for appending: a file that is there stays
  // whole when the name is taken.
  const handle = file === undefined ? undefined : openSync(file, 'a', 0o600);
  try {
    const made = await audited(
      context,
      { action: `token create (${role})`, target: name },
      () => inventory.createToken(record),
      (answer) => answer,
    );
    if (made === 'name-taken') return await taken(context, name);
    if (handle !== undefined) {
      ftruncateSync(handle);
      writeFileSync(handle, `${secret}\n`);
    }
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
  const { digest: _, ...shown } = record;
  context.out.result(
    { ...shown, ...(file === undefined ? { token: secret } : { file }) },
    file === undefined
      ? `${secret}\n\nThis is ${name}'s token, in the role ${role}. It is not kept and cannot be shown again.`
      : `The token of ${name} (${role}) is in ${file}.`,
  );
  return exitCodes.done;
}

async function taken(context: Context, name: string): Promise<ExitCode> {
  const { inventory } = await context.session();
  const there = (await inventory.tokens()).find((t) => t.name === name && isValid(t));
  if (context.flags['ifAbsent'] === true && there !== undefined) {
    const { digest: __, ...shown } = there;
    context.out.result(
      { ...shown, made: false },
      `There is a valid token of ${name} (${there.role}) already.`,
    );
    return exitCodes.done;
  }
  throw new Refusal(
    'refused',
    'NAME_TAKEN',
    `There is a token of ${name} that is not revoked`,
    `vmedic token revoke ${name}, then create it anew`,
  );
}

const isValid = (token: TokenRecord): boolean =>
  token.revokedAt === undefined &&
  (token.expiresAt === undefined || Date.parse(token.expiresAt) > Date.now());

function standing(token: TokenRecord): string {
  if (token.revokedAt !== undefined) return `revoked ${since(token.revokedAt)}`;
  if (!isValid(token)) return 'expired';
  return token.expiresAt === undefined ? 'valid' : `valid until ${token.expiresAt.slice(0, 10)}`;
}

async function list(context: Context): Promise<ExitCode> {
  const { inventory } = await context.session();
  const tokens = (await inventory.tokens()).map(({ digest: _, ...token }) => token);
  const rows = tokens.map((t) => [
    t.name,
    t.role,
    standing({ ...t, digest: '' }),
    since(t.lastUsedAt),
    `${t.createdBy}, ${since(t.createdAt)}`,
    t.tokenId,
  ]);
  const head = ['TOKEN', 'ROLE', 'STANDING', 'USED', 'MADE BY', 'ID'];
  const none = 'There is no token: nobody can use the API. vmedic token create NAME --role viewer';
  context.out.result({ tokens }, rows.length === 0 ? none : table(context.out, head, rows));
  return exitCodes.done;
}

async function revoke(context: Context): Promise<ExitCode> {
  const name = argument(context, 0);
  const { inventory } = await context.session();
  const answer = await audited(
    context,
    { action: 'token revoke', target: name },
    () => inventory.revokeToken(name, text(context, 'by'), new Date().toISOString()),
    (given) => given,
  );
  if (answer === 'not-valid')
    throw new Refusal('usage', 'UNKNOWN_TOKEN', `There is no valid token ${name}`, 'vmedic token list');
  context.out.result({ name, answer }, `The token of ${name} is worthless now.`);
  return exitCodes.done;
}
