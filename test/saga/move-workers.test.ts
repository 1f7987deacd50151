/**
 * The worker is killed (SIGKILL, a real process) right before and right after each call of a move, while the datacenter, a process of its own, goes
 * on. Whatever the run comes to, the record names what is, and the move was begun once. CI runs a sample that the date seeds; `make soak` all.
 */
import { randomUUID } from 'node:crypto';
import { Client, Connection, WorkflowFailedError } from '@temporalio/client';
import { RecoveryClient } from '../../client/recovery-client';
import { workflowIds } from '../../domain/ids';
import { parseDefinition, sampleWorld } from '../../drivers/simulated';
import { sampleSeed, seededSample } from '../support/seeded-sample';
import { freshInventory } from '../support/inventory';
import { discover } from '../support/recovery-system';
import { temporalAddress } from '../support/servers';
import { simulatedElsewhere } from '../support/simulated-process';
import { SupervisedWorker } from '../support/supervised-worker';

const calls = ['preflight', 'submit', 'follow', 'switchOver', 'classify', 'letGo', 'remove'] as const;
const byItself = ['preflight', 'submit', 'follow', 'classify'] as const;
const whole = (['before', 'after'] as const).flatMap((when) => [
  ...calls.map((call) => ({ storage: 'dir' as const, call, when })),
  ...byItself.map((call) => ({ storage: 'vmfs' as const, call, when })),
]);

it.each(seededSample(whole, 2))(
  `survives a worker killed $when $call on $storage [seed ${sampleSeed}]`,
  async ({ storage, call, when }) => {
    const prefix = `m${randomUUID().slice(0, 8)}-`;
    const spec = sampleWorld({
      ...{ hosts: 2, vmsPerHost: 1, prefix, storage, secondPool: true },
      seed: Math.floor(Math.random() * 2 ** 31),
    });
    const world = await simulatedElsewhere(spec);
    const store = await freshInventory();
    const { control, ports, fleet } = world.connection;
    await discover({ ...ports, inventory: store.inventory }, fleet);
    const taskQueue = `kill-${randomUUID()}`;
    const worker = new SupervisedWorker([world.socket, store.url, taskQueue]);
    const address = temporalAddress();
    const connection = await Connection.connect({ address });
    try {
      const client = new Client({ connection });
      const vm = spec.vms[0]!;
      await control.addRule({
        id: 'kill',
        port: 'volumeMoves',
        call,
        times: 1,
        then: { kind: 'crash-worker', when },
      });
      const front = new RecoveryClient({ client, inventory: store.inventory, fleet, taskQueue, address });
      const to = spec.pools[1]!.id;
      await front.migrateVolume(vm.name, 'vda', to, { by: 'tester', reason: 'room', source: 'operator' });
      const handle = client.workflow.getHandle(workflowIds.vm(vm.id));
      const ending = await handle.result().then(
        () => 'moved',
        (error: unknown) => {
          if (error instanceof WorkflowFailedError) return 'not-moved';
          throw error;
        },
      );
      expect(await control.struck('kill')).toBe(1);
      expect(worker.deaths).toBeGreaterThanOrEqual(1);
      const after = await control.snapshot();
      const text = after.hosts.flatMap((h) => h.definitions).find((d) => d.vmId === vm.id)?.text ?? '';
      const [disk] = parseDefinition(text)?.disks ?? [];
      expect(disk?.poolId).toBe(ending === 'moved' ? to : spec.pools[0]!.id);
      expect(after.disks.map((d) => d.path)).toContain(disk?.path);
      const record = await store.inventory.vm(vm.id);
      expect(record?.shape.disks.map((d) => d.path)).toEqual([disk?.path]);
      expect(after.processes.filter((p) => p.vmId === vm.id && p.state !== 'ended')).toMatchObject([
        { state: 'running' },
      ]);
      const begun = (await control.journal()).filter((e) => e.kind === 'effect' && e.effect === 'move-begun');
      expect(begun.length).toBeLessThanOrEqual(1);
    } finally {
      await worker.end();
      await connection.close();
      await store.close();
      await world.end();
    }
  },
);
