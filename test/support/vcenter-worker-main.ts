/** A worker as a process of its own on a simulated vCenter: it ends itself by SIGKILL where the file of strikes says so, once each. */
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import { createActivities } from '../../activities';
import { openInventory } from '../../drivers/postgres';
import { powerQueue } from '../../workflows/inputs';
import { quietRuntime } from './recovery-system';
import { temporalAddress, workflowBundlePath } from './servers';
import { hooked, type MoveHook, strikeFile } from './vcenter-hooks';
import { driverOn, portsOf, type WorkerElsewhere } from './vcenter-driver';

async function main(): Promise<void> {
  const [folder = ''] = process.argv.slice(2);
  const order = JSON.parse(readFileSync(join(folder, 'worker.json'), 'utf8')) as WorkerElsewhere;
  quietRuntime();
  const inventory = openInventory({ url: order.inventoryUrl });
  const nobodyFences = {
    status: () => Promise.reject(new Error('no BMC')),
    off: () => Promise.reject(new Error('no BMC')),
  };
  const ports = hooked(portsOf(driverOn(order), inventory, nobodyFences), killedWhereToldIn(folder));
  const activities = createActivities(ports, order.fleet);
  const connection = await NativeConnection.connect({ address: temporalAddress() });
  const main = await Worker.create({
    ...{ connection, taskQueue: order.taskQueue, activities, stickyQueueScheduleToStartTimeout: '1s' },
    workflowBundle: { codePath: workflowBundlePath() },
  });
  const power = await Worker.create({ connection, taskQueue: powerQueue(order.taskQueue), activities });
  await Promise.all([main.run(), power.run()]);
}

const killedWhereToldIn =
  (folder: string): MoveHook =>
  (at, vm) => {
    const file = strikeFile(folder, at, vm);
    if (existsSync(file)) {
      unlinkSync(file);
      process.kill(process.pid, 'SIGKILL');
    }
    return Promise.resolve();
  };

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
