/**
 * The worker is killed (SIGKILL, a real process) right before and right after the effect of each step's own call, while the datacenter, a
 * process of its own, goes on. CI runs a sample that the date seeds; `make soak` runs the whole product.
 */
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { RecoveryClient } from '../../client/recovery-client';
import { workflowIds } from '../../domain/ids';
import { sampleWorld } from '../../drivers/simulated';
import type { RecoverHostResult } from '../../workflows/inputs';
import { asText, judge } from '../checkers/judge';
import { readInventoryRows } from '../checkers/facts';
import { sampleSeed, seededSample } from '../support/seeded-sample';
import { freshInventory, type FreshInventory } from '../support/inventory';
import { discover } from '../support/recovery-system';
import { temporalAddress } from '../support/servers';
import { simulatedElsewhere } from '../support/simulated-process';
import { SupervisedWorker } from '../support/supervised-worker';

const calls = [
  { step: 'fenceHost.cut-access', port: 'storageAccess', call: 'cut' },
  { step: 'fenceHost.switch-off', port: 'fencing', call: 'off' },
  { step: 'fenceHost.switch-off', port: 'fencing', call: 'status' },
  { step: 'releaseLocks.release', port: 'storageLocks', call: 'release' },
  { step: 'restartVm.prepare', port: 'volumes', call: 'makeReady' },
  { step: 'restartVm.prepare', port: 'hypervisor', call: 'define' },
  { step: 'restartVm.start', port: 'hypervisor', call: 'start' },
  { step: 'restartVm.settle', port: 'hypervisor', call: 'list' },
] as const;

const whole = calls.flatMap((c) => (['before', 'after'] as const).map((when) => ({ ...c, when })));

it.each(seededSample(whole, 4))(
  `survives a worker killed $when $call of $port ($step) [seed ${sampleSeed}]`,
  async ({ port, call, when }) => {
    const prefix = `k${randomUUID().slice(0, 8)}-`;
    const spec = sampleWorld({
      hosts: 3,
      vmsPerHost: 1,
      prefix,
      seed: Math.floor(Math.random() * 2 ** 31),
      storage: 'nfs',
      ...(port === 'storageAccess' && { cutAccess: true as const }),
    });
    const world = await simulatedElsewhere(spec);
    const store: FreshInventory = await freshInventory();
    const { control, ports, fleet } = world.connection;
    await discover({ ...ports, inventory: store.inventory }, fleet);
    const taskQueue = `kill-${randomUUID()}`;
    const worker = new SupervisedWorker([world.socket, store.url, taskQueue]);
    const connection = await Connection.connect({ address: temporalAddress() });
    try {
      const client = new Client({ connection });
      const host = spec.hosts[0]?.id ?? '';
      await control.addRule({ id: 'kill', port, call, times: 1, then: { kind: 'crash-worker', when } });
      // A host without power reads off already: only a frozen one has to be switched off.
      await (call === 'off' ? control.freeze(host as never) : control.cutPower(host as never));
      const front = new RecoveryClient({
        client,
        inventory: store.inventory,
        fleet,
        taskQueue,
        address: temporalAddress(),
      });
      await front.recoverHost(host, { by: 'tester', reason: 'dark', source: 'operator' });
      const result = (await client.workflow
        .getHandle(workflowIds.host(host as never))
        .result()) as RecoverHostResult;
      expect(await control.struck('kill')).toBe(1);
      expect(worker.deaths).toBeGreaterThanOrEqual(1);
      expect(result.outcome).toBe('recovered');
      const journal = await control.journal();
      const inventory = await readInventoryRows(store.inventory, journal);
      expect(asText(judge({ world: await control.snapshot(), journal, inventory }))).toEqual([]);
    } finally {
      await worker.end();
      await connection.close();
      await store.close();
      await world.end();
    }
  },
);
