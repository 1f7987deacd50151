/** Who may do what, and what nobody may learn. */
import { routes } from '../../client/http/app';
import type { Route } from '../../client/http/route';
import { makeToken } from '../../client/tokens';
import { mayActAs, roles } from '../../domain/access';
import { type Answered, type ApiUnderTest, apiUnderTest, senderSecret } from '../support/api';

let api: ApiUnderTest;

beforeAll(async () => {
  api = await apiUnderTest({ vmsPerHost: 1, hosts: 2 });
});
afterAll(() => api.close());

const urlOf = (route: Route): string => route.path.replace(/\{\w+\}/g, 'nothing-of-this-name');
const ask = (route: Route, as: Parameters<ApiUnderTest['get']>[1]): Promise<Answered> =>
  route.method === 'get' ? api.get(urlOf(route), as) : api.post(urlOf(route), { ...as, body: {} });

const guarded = routes.filter((r) => r.needs !== 'nobody' && r.needs !== 'sender');
const cells = guarded.flatMap((route) =>
  (['nobody', ...roles] as const).map((as) => ({
    name: `${route.method} ${route.path} as ${as}`,
    route,
    as,
  })),
);

describe('the matrix of roles', () => {
  it.each(cells)('$name', async ({ route, as }) => {
    const { status, body } = await ask(route, { as });
    if (as === 'nobody') expect([status, body['code']]).toEqual([401, 'NO_TOKEN']);
    else if (!mayActAs(as, route.needs as never))
      expect([status, body['code']]).toEqual([403, 'ROLE_TOO_LOW']);
    else expect([401, 403]).not.toContain(status);
  });

  it('gives to approvers alone what cannot be checked or goes over the blast radius', () => {
    const theirs = routes.filter((r) => r.needs === 'approver').map((r) => r.path);
    expect(theirs.sort()).toEqual([
      '/v1/arm',
      '/v1/incidents/{incident}/approve',
      '/v1/incidents/{incident}/attest-fenced',
    ]);
  });

  it('leaves open to all only what tells nothing of a fleet', () => {
    const open = routes.filter((r) => r.needs === 'nobody').map((r) => r.path);
    expect(open).toEqual(['/healthz', '/readyz']);
    expect(routes.filter((r) => r.needs === 'sender').map((r) => r.path)).toEqual(['/v1/webhooks/generic']);
  });

  it('asks for a change to be named wherever something is changed', () => {
    const silent = routes.filter((r) => r.method === 'post' && r.change === undefined).map((r) => r.path);
    // What these lead to is written down where it is done, which the tests of each hold.
    const elsewhere =
      /^\/v1\/(webhooks\/|(dis)?arm$|hosts\/\{host\}\/(begin|end)-|vms\/\{vm\}\/(un)?protect$)/;
    expect(silent.filter((path) => !elsewhere.test(path))).toEqual([]);
    expect(routes.filter((r) => r.method === 'get' && r.change !== undefined)).toEqual([]);
  });
});

describe('a token', () => {
  const create = async (more: { expiresAt?: string } = {}) => {
    const name = `t-${Math.random().toString(36).slice(2)}`;
    const made = makeToken({ name, role: 'viewer', by: 'tester', expiresAt: more.expiresAt });
    await api.system.inventory.createToken(made.record);
    return { name, token: made.text };
  };
  const statusWith = async (token: string) => (await api.get('/v1/incidents', { as: { token } })).status;

  it('that was revoked or has expired is worthless, and says so to nobody else', async () => {
    const { name, token } = await create();
    expect(await statusWith(token)).toBe(200);
    await api.system.inventory.revokeToken(name, 'tester', new Date().toISOString());
    const refused = await api.get('/v1/incidents', { as: { token } });
    expect(refused).toMatchObject({ status: 401, body: { code: 'TOKEN_REFUSED' } });
    expect(refused.headers['www-authenticate']).toContain('error="invalid_token"');
    const old = await create({ expiresAt: new Date(Date.now() - 1).toISOString() });
    expect(await statusWith(old.token)).toBe(401);
  });

  it('is refused with one character changed, with the secret of another, and in any other form', async () => {
    const [one, two] = [await create(), await create()];
    const [, id] = one.token.split('_');
    const last = one.token.at(-1) === 'A' ? 'B' : 'A';
    const forged = [
      one.token.slice(0, -1) + last,
      `vmedic_${id}_${two.token.split('_').slice(2).join('_')}`,
      `vmedic_${'0'.repeat(12)}_${'A'.repeat(43)}`,
      'vmedic',
      `${one.token}x`,
      one.token.toUpperCase(),
    ];
    for (const token of forged) expect(await statusWith(token)).toBe(401);
    expect(await statusWith(one.token)).toBe(200);
  });

  it('stands nowhere in the inventory: what is kept of it opens nothing', async () => {
    const { token } = await create();
    const secret = token.split('_').slice(2).join('_');
    const kept = JSON.stringify(await api.system.inventory.tokens());
    expect(kept).not.toContain(secret);
    const digest = (await api.system.inventory.tokens())[0]?.digest ?? '';
    expect(await statusWith(`vmedic_${token.split('_')[1]}_${digest.slice(0, 43)}`)).toBe(401);
  });
});

describe('bad requests', () => {
  const host = () => api.system.host('a');

  it('are answered with every mistake at once, each with its place', async () => {
    const { status, body, headers } = await api.post(`/v1/hosts/${host()}/recover`, {
      body: { reason: ' ', rehearse: 'yes', force: true },
    });
    expect([status, headers['content-type']]).toEqual([400, 'application/problem+json; charset=utf-8']);
    expect(body['errors']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ in: 'body', at: 'reason' }),
        expect.objectContaining({ in: 'body', at: 'rehearse' }),
        expect.objectContaining({ in: 'body', sentence: expect.stringContaining('force') }),
      ]),
    );
    expect(body).toMatchObject({
      type: 'urn:vmedic:problem:INVALID_REQUEST',
      requestId: headers['x-request-id'],
    });
  });

  it.each<[what: string, status: number, ask: () => Promise<Answered>]>([
    ['no JSON', 400, () => api.post(`/v1/hosts/${host()}/recover`, { body: '{"reason":' })],
    ['no body', 400, () => api.post(`/v1/hosts/${host()}/recover`)],
    [
      'a prototype to poison',
      400,
      () => api.post(`/v1/hosts/${host()}/recover`, { body: '{"__proto__": {"a": 1}}' }),
    ],
    [
      'another form',
      415,
      () => api.post('/v1/hosts/x/recover', { body: 'a', headers: { 'content-type': 'text/plain' } }),
    ],
    [
      'a body without end',
      413,
      () => api.post(`/v1/hosts/${host()}/recover`, { body: { reason: 'x'.repeat(1_100_000) } }),
    ],
    ['no such path', 404, () => api.get('/v1/nothing')],
    ['another method', 405, () => api.post('/v1/incidents', { body: {} })],
    ['a NUL in the path', 400, () => api.get('/v1/incidents/a%00b')],
    ['a broken escape in the path', 400, () => api.get('/v1/incidents/%E0%A4%A')],
    ['a cursor of nowhere', 400, () => api.get('/v1/incidents?cursor=abc')],
    [
      "another list's cursor",
      400,
      () => api.get(`/v1/audit?cursor=${Buffer.from('"x"').toString('base64url')}`),
    ],
    ['a page too large', 400, () => api.get('/v1/vms?limit=501')],
    ['a query nobody knows', 400, () => api.get('/v1/vms?hots=a')],
    [
      'a key with blanks',
      400,
      () => api.post('/v1/hosts/x/recover', { body: { reason: 'a' }, headers: { 'idempotency-key': 'a b' } }),
    ],
  ])('%s: %d as problem details', async (_, status, asked) => {
    const answer = await asked();
    expect(answer).toMatchObject({
      status,
      body: { status, code: expect.any(String), detail: expect.any(String) },
    });
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });
});

describe('secrets', () => {
  it('stand in no log line, no answer and no audit row, whatever was asked with them', async () => {
    await api.get('/v1/status', { as: 'viewer' });
    await api.post('/v1/hosts/none/recover', { as: 'approver', body: { reason: 'a reason' } });
    await api.get('/v1/incidents', { as: { token: `${api.tokens.approver}x` } });
    const everything = [
      ...api.logged,
      (await api.get('/v1/audit')).text,
      (await api.get('/metrics', { as: 'viewer' })).text,
    ].join('\n');
    expect(api.logged.length).toBeGreaterThan(5);
    for (const role of roles) {
      const secret = api.tokens[role].split('_').slice(2).join('_');
      expect(everything).not.toContain(secret);
    }
    expect(everything).not.toContain(senderSecret.slice('whsec_'.length));
  });
});

it('answers for itself while the inventory is away, and tells nothing of the inside', async () => {
  const away = await apiUnderTest({
    hosts: 1,
    vmsPerHost: 1,
    temporal: () => Promise.reject(new Error('the password is hunter2')),
  });
  try {
    expect((await away.get('/healthz', { as: 'nobody' })).status).toBe(200);
    const ready = await away.get('/readyz', { as: 'nobody' });
    expect(ready).toMatchObject({ status: 503, body: { ready: false, parts: { inventory: 'answers' } } });
    const defect = await away.get('/v1/status', { as: 'viewer' });
    expect(defect).toMatchObject({ status: 500, body: { code: 'DEFECT' } });
    expect(ready.text + defect.text).not.toContain('hunter2');
    expect((await away.get('/metrics', { as: 'viewer' })).text).toContain(
      'vmedic_scrape_errors_total{part="temporal"}',
    );
  } finally {
    await away.close();
  }
});
