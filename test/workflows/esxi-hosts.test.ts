/** The shipped workflows and activities on a simulated vCenter: its hosts' power is cut by the hand that its journal knows nothing of. */
import { type HostId, incidentId, workflowIds } from '../../domain/ids';
import type { recoverHost } from '../../workflows';
import type { RecoverHostInput } from '../../workflows/inputs';
import { discover, testTrigger } from '../support/recovery-system';
import { eventually } from '../support/story';
import { describeOnVcenter } from '../support/vcenter';
import { type VcenterSystem, vcenterSystem } from '../support/vcenter-system';

interface Esx extends VcenterSystem {
  recover(host: HostId): Promise<{ outcome: string; sentence: string }>;
}

/** Two VMs that run on the first host, one on the second, one on none. */
async function esxFleet(): Promise<Esx> {
  const system = await vcenterSystem({
    ...{ hosts: 3, vms: 4, disks: 1 },
    async prepare(sim, state) {
      const [a = '', b = ''] = Object.keys(state.hosts);
      const [one = '', two = '', three = ''] = Object.keys(state.vms);
      for (const [vm, name] of [
        [one, a],
        [two, a],
        [three, b],
      ] as const)
        await sim.order('vm', { vm, name, power: 'on' });
    },
  });
  await discover(system.ports, system.fleet);
  return {
    ...system,
    async recover(host) {
      const id = incidentId({ kind: 'host', hostId: host }, 1);
      const input: RecoverHostInput = {
        ...{ hostId: host, clusterId: system.cluster, epoch: 1, mode: 'act' },
        ...{ trigger: testTrigger(), incidentId: id },
      };
      const run = await system.client.workflow.start<typeof recoverHost>('recoverHost', {
        ...{ workflowId: workflowIds.host(host), taskQueue: system.taskQueue, args: [input] },
        memo: { incidentId: id, requestedBy: 'tester', reason: 'test' },
      });
      return run.result();
    },
  };
}

describeOnVcenter('the recovery of an ESXi host', () => {
  let esx: Esx;
  beforeEach(async () => {
    esx = await esxFleet();
  });
  afterEach(() => esx.close());

  const vmsNow = (): { lost: string[]; others: string[] } => {
    const [one = '', two = '', three = ''] = Object.keys(esx.state.vms);
    return { lost: [one, two], others: [three] };
  };

  const whereIs = async (vm: string): Promise<string | undefined> => (await esx.sim.state()).vms[vm]?.runsOn;
  const times = async (method: string): Promise<number> => (await esx.sim.calls(method)).length;

  it.each([
    ['that lost its power', { power: 'cut' }],
    ['that is only silent, and whose VMs run until it is fenced', { state: 'notResponding' }],
  ])('%s brings its VMs back elsewhere, each once, as the VMs that they were', async (_, failure) => {
    const { lost, others } = vmsNow();
    const [a] = esx.hosts as [HostId];
    const before = (await esx.sim.state()).vms;
    await esx.sim.order('host', { name: esx.nameOf(a), ...failure });
    expect(await esx.recover(a)).toMatchObject({ outcome: 'recovered', sentence: 'all 2 VMs run again' });
    const after = (await esx.sim.state()).vms;
    for (const vm of lost) {
      expect(await whereIs(vm)).toBeDefined();
      expect(await whereIs(vm)).not.toBe(esx.nameOf(a));
      expect(after[vm]?.instanceUuid).toBe(before[vm]?.instanceUuid);
      const record = await esx.ports.inventory.vm(before[vm]?.instanceUuid as never);
      expect(esx.nameOf(record?.hostId as HostId)).toBe(await whereIs(vm));
    }
    for (const vm of others) expect(await whereIs(vm)).toBe(before[vm]?.host);
    expect((await started()).slice(0, 2)).toEqual([2, 2]);
    expect(Object.values(after).filter((v) => v.toldCopy === true)).toEqual([]);
  });

  const started = async (): Promise<number[]> =>
    Promise.all(['PowerOnVM_Task', 'RegisterVM_Task', 'UnregisterVM'].map(times));
  const saidOf = async (host: HostId): Promise<string> => {
    const id = incidentId({ kind: 'host', hostId: host }, 1);
    return (await esx.ports.inventory.timeline(id)).map((e) => e.sentence).join('\n');
  };
  const cutWithHa = async (host: HostId): Promise<void> => {
    await esx.sim.order('cluster', { name: 'DC0_C0', ha: true });
    await esx.sim.order('host', { name: esx.nameOf(host), power: 'cut' });
  };

  it('where vSphere HA is on, leaves its VMs to it, says so, and records where it has started them', async () => {
    const { lost } = vmsNow();
    const [a, b, c] = esx.hosts as [HostId, HostId, HostId];
    await cutWithHa(a);
    const recovery = esx.recover(a);
    for (const [vm, on] of [
      [lost[0], b],
      [lost[1], c],
    ] as const) {
      await eventually('the word that HA is in charge', async () =>
        (await saidOf(a)).includes(`${vm}: vSphere HA is on`),
      );
      await esx.sim.order('vm', { vm, name: esx.nameOf(on), state: 'connected', power: 'on' });
    }
    expect(await recovery).toMatchObject({ outcome: 'recovered' });
    for (const [vm, on] of [
      [lost[0], b],
      [lost[1], c],
    ] as const) {
      expect(await whereIs(vm ?? '')).toBe(esx.nameOf(on));
      expect(await esx.inventory.vm(esx.state.vms[vm ?? '']?.instanceUuid as never)).toMatchObject({
        hostId: on,
      });
    }
    expect(await started()).toEqual([0, 0, 0]);
  });

  it('where vSphere HA is on and starts nothing, starts nothing either, and names each VM that is down', async () => {
    const { lost } = vmsNow();
    const [a] = esx.hosts as [HostId];
    await cutWithHa(a);
    const { outcome, sentence } = await esx.recover(a);
    expect(outcome).toBe('partially-recovered');
    for (const vm of lost) expect(sentence).toContain(vm);
    expect(await saidOf(a)).toContain('vSphere HA is on');
    expect(await started()).toEqual([0, 0, 0]);
    for (const vm of lost) expect(await whereIs(vm)).toBeUndefined();
  });
});
