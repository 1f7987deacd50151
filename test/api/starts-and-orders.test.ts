import { incidentId, workflowIds } from '../../domain/ids';
import { follow } from '../../client/follow';
import { waitFor } from '../../lab/wait-for';
import { type ApiUnderTest, apiUnderTest } from '../support/api';

let api: ApiUnderTest;

beforeEach(async () => {
  api = await apiUnderTest();
});
afterEach(() => api.close());

const because = { reason: 'rack 4 has no power' };

const bmcOf = (letter: string) => {
  const { system } = api;
  const device = system.spec.hosts.find((h) => h.id === system.host(letter))?.fenceLevels[0]?.devices[0];
  if (device === undefined) throw new Error(`no BMC of ${letter} in this world`);
  return device;
};

const ended = (id: string, workflowId: string) =>
  follow(
    api.system,
    { incidentId: id as never, workflowId, runId: undefined, type: '' },
    { everyMs: 20, throughWaiting: true },
  );

describe('a start', () => {
  it('answers 202 with a Location, 200 for the same incident, and 409 with a link for other work', async () => {
    const { system } = api;
    const host = system.host('a');
    system.controls.setDevice(bmcOf('a'), { mode: 'silent' });
    system.controls.cutPower(host);
    const first = await api.post(`/v1/hosts/${host}/recover`, { body: because });
    const id = incidentId({ kind: 'host', hostId: host }, 1);
    expect(first).toMatchObject({ status: 202, body: { answer: 'started', incidentId: id } });
    expect(first.headers['location']).toBe(`/v1/incidents/${id}`);
    const second = await api.post(`/v1/hosts/${host}/recover`, { body: because });
    expect(second).toMatchObject({ status: 200, body: { answer: 'same', open: true, incidentId: id } });
    const other = await api.post(`/v1/hosts/${host}/fence`, { body: because });
    expect(other).toMatchObject({ status: 409, body: { code: 'BUSY', type: 'urn:vmedic:problem:BUSY' } });
    expect(other.headers['content-type']).toContain('application/problem+json');
    expect(other.headers['location']).toBe(`/v1/incidents/${id}`);
    system.controls.setDevice(bmcOf('a'), { mode: 'works' });
    expect(await ended(id, workflowIds.host(host))).toMatchObject({ result: { outcome: 'recovered' } });
    const trigger = (await api.get(`/v1/incidents/${id}`)).body['triggers'];
    expect(trigger).toMatchObject([{ source: 'api', by: 'the-operator' }, { source: 'api' }]);
    // It is proven off, so what it may still hold can be released anew; of a host that lives, nothing is.
    const release = (letter: string) =>
      api.post(`/v1/hosts/${system.host(letter)}/release-locks`, { body: because });
    expect(await release('a')).toMatchObject({ status: 200, body: { answer: 'released', incidentId: id } });
    expect(await release('b')).toMatchObject({ status: 409, body: { code: 'NO_EVIDENCE' } });
  });

  it('as a rehearsal touches nothing, and its run tells what would be done', async () => {
    const { system } = api;
    system.controls.cutPower(system.host('a'));
    const answer = await api.post(`/v1/hosts/${system.host('a')}/recover`, {
      body: { ...because, rehearse: true, onBehalfOf: 'ada' },
    });
    expect(answer).toMatchObject({ status: 202, body: { rehearsal: true } });
    const location = String(answer.headers['location']);
    const run = await waitFor('the rehearsal to end', 30_000, async () => {
      const { body } = await api.get(location);
      return body['state'] === 'COMPLETED' ? body : undefined;
    });
    expect(run).toMatchObject({ result: { outcome: 'rehearsed', would: expect.arrayContaining([]) } });
    expect((await api.get('/v1/incidents')).body).toEqual({ items: [] });
    expect((await api.get('/v1/audit')).body['items']).toMatchObject([
      {
        who: 'ada (by the-operator)',
        via: 'api',
        action: 'recoverHost (rehearsal)',
        answer: '202',
        ...because,
      },
    ]);
  });

  it('sent again with its Idempotency-Key is answered again, and nothing is done twice', async () => {
    const { system } = api;
    const host = system.host('a');
    system.controls.cutPower(host);
    const headers = { 'idempotency-key': 'one' };
    const ask = () => api.post(`/v1/hosts/${host}/recover`, { body: because, headers });
    const [one, two] = await Promise.all([ask(), ask()]);
    expect([one.status, two.status].sort()).toEqual([202, 409]);
    const again = await ask();
    expect(again).toMatchObject({ status: 202, headers: { 'idempotency-replayed': 'true' } });
    expect(again.headers['location']).toBe([one, two].find((a) => a.status === 202)?.headers['location']);
    const other = await api.post(`/v1/hosts/${host}/recover`, { body: { reason: 'another' }, headers });
    expect(other).toMatchObject({ status: 422, body: { code: 'KEY_OF_ANOTHER_REQUEST' } });
    // A clear no is kept as well.
    const refused = () =>
      api.post('/v1/hosts/hv-x/recover', { body: because, headers: { 'idempotency-key': 'no' } });
    const [no, noAgain] = [await refused(), await refused()];
    expect([no.status, noAgain.status]).toEqual([404, 404]);
    expect(noAgain.headers['idempotency-replayed']).toBe('true');
    expect(noAgain.headers['content-type']).toContain('application/problem+json');
  });

  it('of an unknown host or VM is refused with what is known', async () => {
    const host = await api.post('/v1/hosts/hv-x/recover', { body: because });
    expect(host).toMatchObject({ status: 404, body: { code: 'UNKNOWN_HOST', next: 'vmedic host list' } });
    const vm = await api.post('/v1/vms/none/restart', { body: because });
    expect(vm).toMatchObject({ status: 404, body: { code: 'UNKNOWN_VM' } });
    const rows = (await api.get('/v1/audit')).body['items'];
    expect(rows).toMatchObject([{ answer: '404 UNKNOWN_VM' }, { answer: '404 UNKNOWN_HOST' }]);
  });

  it('restarts one VM by its name', async () => {
    const { system } = api;
    const name = system.spec.vms[0]?.name ?? '';
    system.controls.destroyByHand(system.spec.vms[0]?.hostId as never, system.vm(name));
    const answer = await api.post(`/v1/vms/${name}/restart`, { body: because });
    expect(answer.status).toBe(202);
    const id = String(answer.body['incidentId']);
    expect(await ended(id, workflowIds.vm(system.vm(name)))).toMatchObject({ result: { phase: 'running' } });
  });

  it("moves a VM's disk to another pool, told by its record and its incident; bad input is named", async () => {
    await api.close();
    api = await apiUnderTest({ hosts: 2, vmsPerHost: 1, secondPool: true, storage: 'dir' });
    const { system } = api;
    const to = system.spec.pools[1]?.id ?? '';
    const url = '/v1/vms/vm-001/migrate-volume';
    const body = { ...because, disk: 'vda', to };
    expect(await api.post(url, { body, as: 'viewer' })).toMatchObject({
      ...{ status: 403, body: { code: 'ROLE_TOO_LOW' } },
    });
    expect(await api.post(url, { body: because })).toMatchObject({ status: 400 });
    for (const [wrong, code] of [
      [{ disk: 'vdz' }, 'UNKNOWN_DISK'],
      [{ to: 'none' }, 'UNKNOWN_POOL'],
    ] as const)
      expect(await api.post(url, { body: { ...body, ...wrong } })).toMatchObject({
        ...{ status: 404, body: { code } },
      });
    const rehearsal = await api.post(url, { body: { ...body, rehearse: true } });
    expect(rehearsal).toMatchObject({ status: 202, body: { rehearsal: true, type: 'migrateVolume' } });
    const answer = await api.post(url, { body });
    const id = incidentId({ kind: 'vm', vmId: system.vm('vm-001') }, 1);
    expect(answer).toMatchObject({ status: 202, body: { answer: 'started', incidentId: id } });
    expect(answer.headers['location']).toBe(`/v1/incidents/${id}`);
    expect(await ended(id, workflowIds.vm(system.vm('vm-001')))).toMatchObject({
      result: { phase: 'moved' },
    });
    const disks = (await api.get('/v1/vms/vm-001')).body['disks'];
    expect(disks).toMatchObject([{ device: 'vda', poolId: to }]);
    const rows = (await api.get('/v1/audit')).body['items'];
    expect(rows).toContainEqual(
      expect.objectContaining({ action: 'migrateVolume', target: `vm-001: vda to ${to}`, answer: '202' }),
    );
  });

  it('of a repair is told to operators alone, rehearsed, and one incident like any other', async () => {
    const { system } = api;
    const { name, id } = system.spec.vms[0]!;
    const url = `/v1/vms/${name}/repair`;
    expect(await api.post(url, { body: because, as: 'viewer' })).toMatchObject({ status: 403 });
    const rehearsal = await api.post(url, { body: { ...because, rehearse: true } });
    expect(rehearsal).toMatchObject({ status: 202, body: { rehearsal: true, type: 'repairGuest' } });
    const answer = await api.post(url, { body: because });
    const incident = incidentId({ kind: 'vm', vmId: id }, 1);
    expect(answer).toMatchObject({ status: 202, body: { type: 'repairGuest', incidentId: incident } });
    expect(await ended(incident, workflowIds.vm(id))).toMatchObject({
      result: { fault: { code: 'REPAIR_REFUSED' } },
    });
    expect((await api.get('/v1/audit')).body['items']).toContainEqual(
      expect.objectContaining({ action: 'repairGuest', target: name, answer: '202' }),
    );
  });

  it('of a shutdown is followed as a run, and the VM is not wanted any more', async () => {
    const { system } = api;
    const { name, id } = system.spec.vms[0]!;
    const answer = await api.post(`/v1/vms/${name}/stop`, { body: because });
    expect(answer).toMatchObject({ status: 202, body: { workflowId: workflowIds.vm(id) } });
    const run = await waitFor('the run to end', 30_000, async () => {
      const { body } = await api.get(String(answer.headers['location']));
      return body['state'] === 'COMPLETED' ? body : undefined;
    });
    expect(run).toMatchObject({ type: 'stopVm', result: { kind: 'stopped' } });
    expect((await system.inventory.vm(id))?.desired).toBe('stopped');
    expect((await api.get('/v1/audit')).body['items']).toMatchObject([{ action: 'stopVm', answer: '202' }]);
    const unknown = await api.post('/v1/vms/none/stop', { body: because });
    expect(unknown).toMatchObject({ status: 404, body: { code: 'UNKNOWN_VM' } });
  });
});

describe('an order', () => {
  const blocked = async () => {
    const { system } = api;
    const host = system.host('a');
    system.controls.setDevice(bmcOf('a'), { mode: 'silent' });
    system.controls.cutPower(host);
    const start = await api.post(`/v1/hosts/${host}/recover`, { body: because });
    const id = String(start.body['incidentId']);
    await waitFor('the incident to wait', 30_000, async () => {
      const { body } = await api.get(`/v1/incidents/${id}`);
      return body['phase'] === 'blocked-unfenced' && body['nextCommand'] !== undefined ? true : undefined;
    });
    return { id, host };
  };

  it('of an approver moves on what waits; the timeline names who and why', async () => {
    const { id, host } = await blocked();
    const attest = { body: { reason: 'pulled both cords', onBehalfOf: 'ada' } };
    expect(await api.post(`/v1/incidents/${id}/attest-fenced`, attest)).toMatchObject({
      status: 403,
      body: { code: 'ROLE_TOO_LOW' },
    });
    expect(await api.post(`/v1/incidents/${id}/attest-fenced`, { ...attest, as: 'approver' })).toMatchObject({
      status: 200,
      body: { incidentId: id },
    });
    expect(await ended(id, workflowIds.host(host))).toMatchObject({ result: { outcome: 'recovered' } });
    const { body } = await api.get(`/v1/incidents/${id}/timeline`);
    const said = (body['items'] as { kind: string; sentence: string }[]).find(
      (e) => e.kind === 'attestation',
    );
    expect(said?.sentence).toContain('ada (by the-approver)');
    expect(await api.post(`/v1/incidents/${id}/abort`, { body: because })).toMatchObject({
      status: 409,
      body: { code: 'INCIDENT_CLOSED' },
    });
  });

  it('holds, resumes, acknowledges and aborts', async () => {
    const { id } = await blocked();
    for (const order of ['hold', 'resume'])
      expect(await api.post(`/v1/incidents/${id}/${order}`, { body: because })).toMatchObject({
        status: 200,
      });
    const acknowledge = () => api.post(`/v1/incidents/${id}/acknowledge`, { body: because });
    expect((await acknowledge()).body['answer']).toMatch(/^[1-9]\d* alerts acknowledged$/);
    expect((await acknowledge()).body['answer']).toBe('nothing was waiting to be acknowledged');
    const alerts = (await api.get('/v1/alerts?open=true')).body['items'];
    expect(alerts).toEqual(
      expect.arrayContaining([expect.objectContaining({ acknowledgedBy: 'the-operator', incidentId: id })]),
    );
    const resolve = { body: { ...because, resolution: 'retry' } };
    expect(await api.post(`/v1/incidents/${id}/resolve`, resolve)).toMatchObject({
      status: 409,
      body: { code: 'NOTHING_STUCK' },
    });
    // Nobody knows whether the power went: "off" may have been taken by a silent device.
    const aborted = await api.post(`/v1/incidents/${id}/abort`, { body: because });
    expect([200, 409]).toContain(aborted.status);
  });

  it('to an unknown incident is refused', async () => {
    for (const order of ['attest-fenced', 'approve', 'hold', 'resume', 'abort', 'acknowledge'])
      expect(
        await api.post(`/v1/incidents/host-x-1/${order}`, { as: 'approver', body: because }),
      ).toMatchObject({
        status: 404,
        body: { code: 'UNKNOWN_INCIDENT', next: 'vmedic incident list' },
      });
  });
});
