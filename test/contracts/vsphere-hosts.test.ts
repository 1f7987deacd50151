import { type HostId, poolId } from '../../domain/ids';
import type { StoredDefinition } from '../../domain/records';
import { createVsphere, type Vsphere } from '../../drivers/vsphere';
import { describeOnVcenter, esx, vsphereOptions } from '../support/vcenter';
import { eventually, faultCode, notAborted } from './contract';
import { permitFor } from './permits';
import { openVcenter, type VcenterWorld } from './vcenter-subjects';

describeOnVcenter('VMs of ESXi hosts', () => {
  let world: VcenterWorld;
  let port: Vsphere['hypervisor'];
  let a: HostId;
  let b: HostId;
  let name: string;
  let definition: StoredDefinition;

  beforeEach(async () => {
    world = await openVcenter(2);
    port = world.vsphere.hypervisor;
    [a, b] = Object.keys(world.state.hosts).map(esx) as [HostId, HostId];
    const made = await world.fresh(a);
    name = made.name;
    await world.sim.order('vm', { vm: name, power: 'on' });
    const [read] = await port.definitions(a, [made.vmId], notAborted());
    const at = new Date().toISOString();
    definition = { vmId: made.vmId, version: 1, text: read?.text ?? '', readFrom: a, readAt: at };
  });
  afterEach(() => world.close());

  const host = (id: HostId, change: object) =>
    world.sim.order('host', { name: world.hostName(id), ...change });
  const startAt = (id: HostId) => port.start(permitFor(definition.vmId, id), definition, true, notAborted());
  const times = async (method: string): Promise<number> => (await world.sim.calls(method)).length;
  const guests = async (): Promise<HostId[]> => Object.values((await world.sim.state()).guests).map(esx);

  it('starts a VM of a dead host elsewhere, once, and says that it was moved', async () => {
    await host(a, { power: 'cut' });
    expect(await startAt(b)).toEqual({ kind: 'ok' });
    expect(await startAt(b)).toEqual({ kind: 'ok' });
    expect(await guests()).toEqual([b]);
    const vm = (await world.sim.state()).vms[name];
    expect(vm).toMatchObject({ instanceUuid: definition.vmId, power: 'poweredOn' });
    expect(vm?.toldCopy).toBeUndefined();
    expect([await times('PowerOnVM_Task'), await times('RegisterVM_Task'), await times('AnswerVM')]).toEqual([
      1, 1, 1,
    ]);
  });

  it('does not take a VM for started that somebody told that it is a copy: it is another VM then', async () => {
    await world.sim.rule({ method: 'AnswerVM', action: 'delay:1000' });
    await host(a, { power: 'cut' });
    const vmx = await world.sim.order('unregister', { vm: name });
    await world.sim.order('register', { vmx, name: world.hostName(b) });
    const starting = startAt(b);
    await eventually(
      10_000,
      async () => (await world.sim.order('answer', { vm: name, choice: '2' })) === true,
    );
    expect((await starting).kind).toBe('unknown');
    expect(Object.values((await world.sim.state()).vms).find((v) => v.toldCopy === true)).toBeDefined();
  });

  it.each([
    ['a session that ended is answered anew', { action: 'fault:NotAuthenticated', times: 1 }, 'ok'],
    [
      'a role that may not answer is no "not started": it waits there',
      { action: 'fault:NoPermission' },
      'unknown',
    ],
  ] as const)('a start whose question meets %s', async (_, rule, kind) => {
    await host(a, { power: 'cut' });
    await world.sim.rule({ method: 'AnswerVM', ...rule });
    expect((await startAt(b)).kind).toBe(kind);
    expect(await times('PowerOnVM_Task')).toBe(1);
    if (kind === 'ok') expect(await guests()).toEqual([b]);
  });

  it('does not start what a silent host still runs, and names the lock', async () => {
    await host(a, { state: 'notResponding' });
    expect(await startAt(b)).toMatchObject({ kind: 'refused', fault: { code: 'LOCK_HELD' } });
    expect(await guests()).toEqual([a]);
  });

  it('leaves the VMs of a cluster to vSphere HA, sends nothing there, and says so', async () => {
    await world.sim.order('cluster', { name: 'DC0_C0', ha: true });
    await host(a, { power: 'cut' });
    for (const said of [await port.define(b, definition, notAborted()), await startAt(b)])
      expect(said).toMatchObject({ kind: 'refused', fault: { code: 'VSPHERE_HA_IN_CHARGE' } });
    expect([
      await times('UnregisterVM'),
      await times('RegisterVM_Task'),
      await times('PowerOnVM_Task'),
    ]).toEqual([0, 0, 0]);
    await world.sim.order('cluster', { name: 'DC0_C0', ha: false });
    expect(await startAt(b)).toEqual({ kind: 'ok' });
  });

  it('finds a VM that vSphere HA has started there', async () => {
    await world.sim.order('cluster', { name: 'DC0_C0', ha: true });
    await host(a, { power: 'cut' });
    await world.sim.order('vm', { vm: name, name: world.hostName(b), power: 'on', state: 'connected' });
    expect(await startAt(b)).toEqual({ kind: 'ok' });
    expect(await times('PowerOnVM_Task')).toBe(0);
  });

  it.each([
    ['a lost answer', { method: 'PowerOnVM_Task', action: 'lose-reply' }, 'ok'],
    ['a cut connection', { method: 'PowerOnVM_Task', action: 'reset' }, 'unknown'],
    ['a fault of the host', { method: 'PowerOnVM_Task', action: 'fault:Timedout' }, 'unknown'],
    ['a refusal', { method: 'PowerOnVM_Task', action: 'fault:InsufficientResourcesFault' }, 'refused'],
    ['a role that may not', { method: 'PowerOnVM_Task', action: 'fault:NoPermission' }, 'refused'],
    ['an ended session', { method: 'PowerOnVM_Task', action: 'fault:NotAuthenticated' }, 'unreachable'],
  ])('after %s it says what the VM itself says', async (_, rule, kind) => {
    await world.sim.order('vm', { vm: name, power: 'off' });
    await world.sim.rule(rule);
    expect((await startAt(a)).kind).toBe(kind);
    expect(await times('PowerOnVM_Task')).toBe(1);
    expect(await guests()).toEqual(kind === 'ok' ? [a] : []);
  });

  it('has no list when a VM of the host may not be read: it is not one VM less', async () => {
    await world.sim.order('vm', { vm: name, hidden: true });
    expect(await faultCode(port.list(a, notAborted()))).toBe('LIST_INCOMPLETE');
    await world.sim.order('vm', { vm: name, hidden: false });
    expect((await port.list(a, notAborted())).vms.map((v) => v.name)).toContain(name);
  });

  it('calls a VM neither off nor running that vCenter cannot vouch for', async () => {
    for (const [change, state] of [
      [{ state: 'orphaned' }, 'unknown'],
      [{ state: 'inaccessible' }, 'unknown'],
      [{ state: 'connected', power: 'suspended' }, 'paused'],
    ] as const) {
      await world.sim.order('vm', { vm: name, ...change });
      const { vms } = await port.list(a, notAborted());
      expect(vms.find((v) => v.name === name)?.state).toBe(state);
    }
  });

  it('takes the silence of vCenter itself for no sign of any host', async () => {
    await port.probe(a, notAborted());
    await world.sim.order('restart', { downMs: 2_000 });
    expect(await faultCode(port.probe(a, notAborted()))).toBe('LIST_INCOMPLETE');
    expect(await faultCode(port.list(a, notAborted()))).toBe('LIST_INCOMPLETE');
    expect(await faultCode(world.vsphere.hostCommands.bootId(a, notAborted()))).toBe('HOST_COMMAND_FAILED');
  });

  it('tells a host that only its agent left from one that is silent: its own network stack answers', async () => {
    const options = vsphereOptions(world.sim, world.state);
    const hosts = options.hosts.map((h) => ({ ...h, address: '127.0.0.1' }));
    const reachable = createVsphere({ ...options, hosts });
    await host(a, { state: 'notResponding' });
    expect((await reachable.hostCommands.bootId(a, notAborted())).says).toBe('refused');
    expect((await world.vsphere.hostCommands.bootId(a, notAborted())).says).toBe('silent');
    await reachable.close();
  });

  it('tells readiness of its datastores, and of vSphere HA as one that restarts VMs, too', async () => {
    const pools = vsphereOptions(world.sim, world.state).pools.slice(0, 1);
    const look = () => world.vsphere.survey.survey(a, pools, notAborted());
    expect(await look()).toMatchObject({ rivals: [], mounts: [{ kind: 'mount', options: ['rw'] }] });
    await world.sim.order('cluster', { name: 'DC0_C0', ha: true });
    await world.sim.order('datastore', { name: 'LocalDS_0', accessible: false });
    expect(await look()).toMatchObject({
      rivals: ['vSphere HA (cluster DC0_C0)'],
      mounts: [{ kind: 'none' }],
    });
    await host(a, { power: 'cut' });
    expect(await faultCode(look())).toBe('HOST_COMMAND_FAILED');
  });

  it('looks for a host by its name once a minute, not at each call', async () => {
    const before = await times('CreateContainerView');
    for (let i = 0; i < 3; i += 1) await port.list(a, notAborted());
    expect((await times('CreateContainerView')) - before).toBe(0);
  });

  it('moves a VM that is off from a host that answers, without a question', async () => {
    await world.sim.order('vm', { vm: name, power: 'off' });
    expect(await port.define(b, definition, notAborted())).toEqual({ kind: 'ok' });
    expect(await startAt(b)).toEqual({ kind: 'ok' });
    expect([await times('RegisterVM_Task'), await times('AnswerVM')]).toEqual([0, 0]);
    expect(await guests()).toEqual([b]);
  });

  it('moves no disk that belongs to no VM, and says what to do instead', async () => {
    const file = '/vmfs/volumes/LocalDS_0/old.vmdk';
    const disks = [{ disk: 'old.vmdk', to: poolId('LocalDS_1') }];
    const order = { attempt: 'm1', vmId: undefined, hostId: a, disks, file };
    const said = await world.vsphere.volumeMoves.preflight(order, notAborted());
    expect(said).toMatchObject({
      kind: 'refused',
      faults: [{ code: 'DISK_NOT_MOVABLE', facts: { disk: file } }],
    });
    expect(JSON.stringify(said)).toContain('attach it to a VM that is off');
  });

  it('names the hosts that there are when a host has another name in vCenter', async () => {
    const options = vsphereOptions(world.sim, world.state);
    const vsphere = createVsphere({ ...options, hosts: [{ id: a, vcenter: 'vc', name: 'esx1.example' }] });
    const said = await vsphere.hypervisor.list(a, notAborted()).catch((e: unknown) => String(e));
    expect(said).toContain('has no host "esx1.example"');
    expect(said).toContain(world.hostName(b));
    await vsphere.close();
  });
});
