/** What a person changes outside any incident, through the API; each leaves its row in the audit trail. */
import { type ApiUnderTest, apiUnderTest } from '../support/api';

let api: ApiUnderTest;
beforeAll(async () => {
  api = await apiUnderTest({ hosts: 2, vmsPerHost: 1 });
});
afterAll(() => api.close());

const because = { reason: 'storage is being moved', onBehalfOf: 'ada' };
const newestRow = async () => ((await api.get('/v1/audit?limit=1')).body['items'] as unknown[])[0];

it('disarmed, nothing new is started; an approver arms it again', async () => {
  const { system } = api;
  expect(await api.post('/v1/disarm', { body: because })).toMatchObject({
    status: 200,
    body: { what: 'fleet', is: 'disarmed' },
  });
  expect(await newestRow()).toMatchObject({
    ...{
      action: 'disarm',
      target: 'fleet',
      who: 'ada (by the-operator)',
      via: 'api',
      origin: '127.0.0.1',
      answer: 'done',
    },
    reason: because.reason,
  });
  const start = await api.post(`/v1/hosts/${system.host('a')}/recover`, { body: { reason: 'dark' } });
  expect(start).toMatchObject({ status: 409, body: { code: 'DISARMED' } });
  expect((await api.get('/v1/status')).body).toMatchObject({
    well: false,
    clusters: [{ now: 'observe', why: expect.any(String) }],
  });
  const [cluster] = system.fleet.clusters;
  expect((await api.get('/metrics')).text).toContain(
    `vmedic_cluster_mode{cluster="${cluster?.id}",mode="observe"} 1`,
  );
  expect((await api.post('/v1/arm', { body: because })).status).toBe(403);
  expect((await api.post('/v1/arm', { as: 'approver', body: because })).body).toEqual({
    what: 'fleet',
    is: 'armed',
  });
  expect((await api.get('/v1/status')).body).toMatchObject({ clusters: [{ now: 'automatic' }] });
});

it('of one cluster, and not of one that is not there', async () => {
  const cluster = String(api.system.fleet.clusters[0]?.id);
  expect((await api.post('/v1/disarm', { body: { ...because, cluster } })).body['what']).toBe(cluster);
  expect((await api.post('/v1/arm', { as: 'approver', body: { ...because, cluster } })).status).toBe(200);
  expect(await api.post('/v1/disarm', { body: { ...because, cluster: 'none' } })).toMatchObject({
    status: 404,
    body: { code: 'UNKNOWN_CLUSTER' },
  });
});

it('a host goes into maintenance and comes back, and a VM is protected or not', async () => {
  const { system } = api;
  const host = system.host('b');
  const vm = system.spec.vms[0]!.name;
  const standing = async () => (await api.get(`/v1/hosts/${host}`)).body['standing'];
  expect((await api.post(`/v1/hosts/${host}/begin-maintenance`, { body: because })).status).toBe(200);
  expect(await standing()).toBe('maintenance');
  expect((await api.post(`/v1/hosts/${host}/end-maintenance`, { body: because })).status).toBe(200);
  expect(await standing()).toBe('in-service');
  for (const [act, is] of [
    ['unprotect', false],
    ['protect', true],
  ] as const) {
    expect((await api.post(`/v1/vms/${vm}/${act}`, { body: because })).status).toBe(200);
    expect((await api.get(`/v1/vms/${vm}`)).body['protected']).toBe(is);
    expect(await newestRow()).toMatchObject({ action: act, via: 'api', answer: 'done' });
  }
});

it('an alert of no incident is acknowledged by its key, once; one that is not open is not', async () => {
  const { inventory } = api.system;
  await inventory.raiseAlert({
    ...{ key: 'blind:one', severity: 'critical', sentence: 'nobody answers', nextCommand: undefined },
    ...{ incidentId: undefined, raisedAt: new Date().toISOString() },
  });
  const say = (key: string) => api.post('/v1/alerts/acknowledge', { body: { ...because, key } });
  expect(await say('blind:one')).toMatchObject({ status: 200, body: { acknowledged: 1 } });
  expect((await say('blind:one')).body['acknowledged']).toBe(0);
  expect(await newestRow()).toMatchObject({ action: 'acknowledge', target: 'blind:one', answer: '200' });
  expect(await inventory.alerts({ open: true })).toMatchObject([{ acknowledgedBy: 'ada (by the-operator)' }]);
  expect(await say('blind:two')).toMatchObject({ status: 404, body: { code: 'UNKNOWN_ALERT' } });
});
