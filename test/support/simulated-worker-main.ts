/** A worker as a process of its own on a simulated datacenter that is one too: what is killed here is a real process. */
import { NativeConnection, Worker } from '@temporalio/worker';
import { createActivities } from '../../activities';
import { openInventory } from '../../drivers/postgres';
import { connectSimulated } from '../../drivers/simulated';
import { powerQueue } from '../../workflows/inputs';
import { quietRuntime } from './recovery-system';
import { temporalAddress, workflowBundlePath } from './servers';

async function main(): Promise<void> {
  const [socket = '', inventoryUrl = '', taskQueue = ''] = process.argv.slice(2);
  quietRuntime();
  const world = await connectSimulated(socket);
  const activities = createActivities(
    { ...world.ports, inventory: openInventory({ url: inventoryUrl }) },
    world.fleet,
  );
  const connection = await NativeConnection.connect({ address: temporalAddress() });
  const main = await Worker.create({
    ...{ connection, taskQueue, activities, stickyQueueScheduleToStartTimeout: '1s' },
    workflowBundle: { codePath: workflowBundlePath() },
  });
  const power = await Worker.create({ connection, taskQueue: powerQueue(taskQueue), activities });
  await Promise.all([main.run(), power.run()]);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
