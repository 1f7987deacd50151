import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { faultFor } from '../../drivers/vsphere/driver-faults';
import { NoAnswer, NotTrusted, VimFault, Withheld } from '../../drivers/vsphere/errors';
import { Session } from '../../drivers/vsphere/session';
import { endOfTask, nextOfTask, readTask } from '../../drivers/vsphere/tasks';
import { findVm, readVm, whyNotFound } from '../../drivers/vsphere/virtual-machines';
import { group, leaf, type MoRef, parseXml, reference } from '../../drivers/vsphere/xml';
import type { VsphereSim } from '../../lab/vsphere/simulator';
import { within } from './contract';
import { describeOnVcenter, startVcenter, vmIn } from '../support/vcenter';

const signal = new AbortController().signal;
const site = { vcenter: 'vc', username: 'sim-user', url: 'https://vc/sdk', secret: 'file:vc' };

describeOnVcenter('the vim25 client on a simulated vCenter', () => {
  let sim: VsphereSim;
  let session: Session;
  const sessionWith = (changes: Partial<ConstructorParameters<typeof Session>[0]> = {}): Session =>
    new Session({
      url: sim.url,
      username: sim.username,
      ca: sim.ca,
      password: () => sim.password,
      ...changes,
    });

  beforeEach(async () => {
    sim = await startVcenter();
    session = sessionWith();
  });
  afterEach(async () => {
    await session.close();
    await sim.stop();
  });

  const count = async (method: string): Promise<number> => (await sim.calls(method)).length;
  const vmRef = async (): Promise<MoRef> => {
    const { ref } = vmIn(await sim.state());
    return { type: 'VirtualMachine', value: ref };
  };
  const relocate = async (): Promise<MoRef> => {
    const vm = await readVm(session, await vmRef());
    const locators = vm.disks.map((d) =>
      group('disk', [leaf('diskId', d.key), reference('datastore', d.datastore)]),
    );
    return session.submit('RelocateVM_Task', vm.ref, [
      group('spec', locators),
      leaf('priority', 'defaultPriority'),
    ]);
  };

  it('finds a VM by its instance UUID and reads its disks', async () => {
    const { vmId, ref, disks, name } = vmIn(await sim.state());
    expect(await findVm(session, vmId)).toEqual({ type: 'VirtualMachine', value: ref });
    const vm = await readVm(session, await vmRef());
    expect(vm).toMatchObject({ name, connection: 'connected', power: 'poweredOff', snapshots: false });
    expect(vm.disks.map((d) => [d.uuid, d.datastore.value, d.file])).toEqual(
      disks.map((d) => [d.uuid, d.datastore, d.file]),
    );
  });

  it('writes nothing that a vCenter would refuse, and asks for one version of the API', async () => {
    const task = await relocate();
    await endOfTask(session, task, { withinMs: 10_000, signal, method: 'RelocateVM_Task' });
    await session.all('HostSystem', ['name']);
    const calls = await sim.calls();
    expect(calls.filter((c) => c.wire !== undefined)).toEqual([]);
    expect([...new Set(calls.map((c) => c.version))]).toEqual(['urn:vim25/6.7']);
  });

  it('is told so by the simulator when an element is out of order', async () => {
    const spec = group('spec', [leaf('unknown', 1)]);
    const sent = session.submit('RelocateVM_Task', await vmRef(), [spec]);
    await expect(sent).rejects.toMatchObject({ type: 'InvalidRequest' });
    expect((await sim.calls('RelocateVM_Task'))[0]?.wire).toContain('unknown');
  });

  it('logs in again for a read, once for all readers that met the same end of a session', async () => {
    await session.sentinel();
    await sim.order('expire-sessions');
    const ref = await vmRef();
    const names = await Promise.all(Array.from({ length: 10 }, () => session.retrieveOne(ref, ['name'])));
    expect(names).toHaveLength(10);
    expect(await count('Login')).toBe(2);
  });

  it('never takes an answer without values for an empty one', async () => {
    await session.sentinel();
    await sim.order('vm', { vm: vmIn(await sim.state()).name, hidden: true });
    const read = session.retrieveOne(await vmRef(), ['config.hardware.device']);
    await expect(read).rejects.toBeInstanceOf(Withheld);
  });

  it('calls a property that does not exist an error, not an absence', async () => {
    await expect(session.retrieveOne(await vmRef(), ['runtime.nothing'])).rejects.toBeInstanceOf(Withheld);
  });

  it('sends an act once: neither an ended session nor a lost answer has it sent again', async () => {
    await session.sentinel();
    const ref = await vmRef();
    await sim.rule({ method: 'RelocateVM_Task', action: 'fault:NotAuthenticated' });
    const spec = group('spec', []);
    await expect(session.submit('RelocateVM_Task', ref, [spec])).rejects.toMatchObject({
      type: 'NotAuthenticated',
    });
    expect(await count('RelocateVM_Task')).toBe(1);
    await sim.rule({ method: 'RelocateVM_Task', action: 'lose-reply' });
    await expect(session.submit('RelocateVM_Task', ref, [spec])).rejects.toMatchObject({ sent: true });
    expect(await count('RelocateVM_Task')).toBe(2);
  });

  it.each(['reset', 'status:503', 'html'])(
    'does not know what became of an act that met "%s"',
    async (action) => {
      await session.sentinel();
      await sim.rule({ method: 'RelocateVM_Task', action });
      const sent = session.submit('RelocateVM_Task', await vmRef(), [group('spec', [])]);
      await expect(sent).rejects.toBeInstanceOf(NoAnswer);
      await expect(sent).rejects.toMatchObject({ sent: true });
    },
  );

  it('knows that nothing was sent where nobody listens', async () => {
    const other = sessionWith({ url: 'https://127.0.0.1:9/sdk' });
    await expect(other.sentinel()).rejects.toMatchObject({ sent: false });
    await other.close();
  });

  it('sends nothing to a server with another certificate than the pinned one', async () => {
    const { ca: _, ...rest } = { ca: '', url: sim.url, username: sim.username, password: () => sim.password };
    const other = new Session({ ...rest, thumbprint: 'AB'.repeat(32) });
    const error = await other.sentinel().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NotTrusted);
    expect(faultFor(error as NotTrusted, site)).toMatchObject({ code: 'VCENTER_NOT_TRUSTED' });
    expect((error as NotTrusted).why).toContain(sim.thumbprint);
    await other.close();
    expect(await sim.calls()).toEqual([]);
  });

  it('trusts a pinned certificate that nobody has signed, however the thumbprint is written', async () => {
    for (const thumbprint of [sim.thumbprint, sim.thumbprint.replaceAll(':', '').toLowerCase()]) {
      const pinned = new Session({
        url: sim.url,
        username: sim.username,
        thumbprint,
        password: () => sim.password,
      });
      await expect(pinned.sentinel()).resolves.toBeUndefined();
      await pinned.close();
    }
  });

  it('sends nothing to a server that no known authority vouches for', async () => {
    const other = new Session({ url: sim.url, username: sim.username, password: () => sim.password });
    await expect(other.sentinel()).rejects.toBeInstanceOf(NotTrusted);
    await other.close();
    expect(await sim.calls()).toEqual([]);
  });

  it('does not send a refused password again, and sends a corrected one at once', async () => {
    let password = 'wrong';
    const other = sessionWith({ password: () => password });
    for (let i = 0; i < 3; i += 1)
      await expect(other.sentinel()).rejects.toMatchObject({ type: 'InvalidLogin' });
    expect(await count('Login')).toBe(1);
    password = sim.password;
    await expect(other.sentinel()).resolves.toBeUndefined();
    await other.close();
  });

  it('tells a VM that left the inventory from one that it may not see', async () => {
    const { vmId, name } = vmIn(await sim.state());
    const was = await vmRef();
    await sim.order('vm', { vm: name, hidden: true });
    expect(await findVm(session, vmId)).toBeUndefined();
    expect(await whyNotFound(session, was)).toBe('not-allowed');
    await sim.order('vm', { vm: name, hidden: false });
    await sim.order('unregister', { vm: name });
    expect(await findVm(session, vmId)).toBeUndefined();
    expect(await whyNotFound(session, was)).toBe('gone');
  });

  it('waits for a task through a lost session, and says when the task is forgotten', async () => {
    const { name } = vmIn(await sim.state());
    await sim.plan({ preset: 'hang' });
    const task = await relocate();
    const waiting = nextOfTask(session, task, 20_000, signal);
    await sim.order('expire-sessions');
    await sim.order('go-on', { vm: name });
    expect((await waiting)?.ref).toEqual(task);
    await sim.order('settle', { vm: name });
    expect((await readTask(session, task))?.state).toBe('success');
    await sim.order('forget-tasks', {});
    expect(await readTask(session, task)).toBeUndefined();
  });

  it('gives a wait up at once when its caller does', async () => {
    await sim.plan({ preset: 'hang' });
    const task = await relocate();
    const giveUp = new AbortController();
    const waiting = nextOfTask(session, task, 30_000, giveUp.signal);
    setTimeout(() => giveUp.abort(), 50);
    expect(await within(5_000, waiting)).toBeLessThan(3_000);
    await expect(waiting).rejects.toMatchObject({ sent: true });
  });

  it('ends a call at its deadline', async () => {
    await session.sentinel();
    await sim.rule({ method: 'RetrievePropertiesEx', action: 'delay:5000' });
    const read = session.retrieveOne(await vmRef(), ['name'], { deadlineMs: 200 });
    await within(2_000, read);
    await expect(read).rejects.toMatchObject({ why: 'its deadline passed' });
  });

  it('keeps password and cookie out of every error', async () => {
    const said: string[] = [];
    for (const action of ['reset', 'html', 'fault:InvalidLogin']) {
      const other = sessionWith();
      await sim.rule({ method: 'Login', action });
      const error = await other.sentinel().catch((e: unknown) => e);
      expect(error).toBeInstanceOf(Error);
      said.push(`${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`);
      await other.close();
    }
    expect(said.join('\n')).not.toContain(sim.password);
    expect(said.join('\n')).not.toContain('vmware_soap_session');
  });
});

describe('reading vim25', () => {
  let server: Server;
  let reply = '';
  beforeEach(async () => {
    server = createServer((_, response) => response.end(reply));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => server.close());

  it('names faults by type, whatever the text says, and does not know a text without a type', async () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/sdk`;
    const session = new Session({ url, username: 'u', password: () => 'p' });
    const answer = (detail: string): string =>
      `<e:Envelope xmlns:e="x"><e:Body><e:Fault><faultstring>Success</faultstring><detail>${detail}</detail></e:Fault></e:Body></e:Envelope>`;
    reply = answer(
      '<NoPermissionFault XMLSchema-instance:type="NoPermission"><privilegeId>System.Read</privilegeId></NoPermissionFault>',
    );
    await expect(session.sentinel()).rejects.toMatchObject({
      type: 'NoPermission',
      privilege: 'System.Read',
    });
    reply = answer('');
    await expect(session.sentinel()).rejects.toBeInstanceOf(VimFault);
    reply = `<!DOCTYPE x>${answer('')}`;
    await expect(session.sentinel()).rejects.toBeInstanceOf(NoAnswer);
    await session.close();
  });

  it('keeps names that look like numbers, their blanks, and the type of a reference', () => {
    const tree = parseXml(
      '<a><n>0012</n><m> 1E5 </m><r type="Datastore" xsi:type="ManagedObjectReference">ds-1</r></a>',
    );
    expect(JSON.stringify(tree)).toContain('"0012"');
    expect(JSON.stringify(tree)).toContain('" 1E5 "');
    expect(JSON.stringify(tree)).toContain('"@type":"Datastore"');
  });
});
