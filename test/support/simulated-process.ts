import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  connectSimulated,
  type SimulatedConnection,
  type SimulatedProcess,
  startSimulatedProcess,
  type WorldSpec,
} from '../../drivers/simulated';

const loadTypeScript = ['-r', join(__dirname, 'typescript-child.cjs')];

/** A world in a process of its own and a connection to it; `end` leaves nothing behind. */
export async function simulatedElsewhere(world: WorldSpec): Promise<{
  connection: SimulatedConnection;
  process: SimulatedProcess;
  socket: string;
  end(): Promise<void>;
}> {
  const folder = mkdtempSync(join(tmpdir(), 'vm-sim-'));
  const socket = join(folder, 's');
  const process = await startSimulatedProcess({ socket, world, execArgv: loadTypeScript });
  const connection = await connectSimulated(socket);
  return {
    ...{ connection, process, socket },
    async end() {
      await connection.close();
      await process.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
