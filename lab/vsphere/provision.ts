/** `node dist/lab/vsphere/provision.js`: builds the vCenter simulator where Go is there. What needs it says so where it is missing. */
import { obtainSimulator } from './program';

const progress = (line: string): void => void process.stderr.write(`  ${line}\n`);

obtainSimulator(progress).then(
  (got) => progress('path' in got ? `vCenter simulator: ${got.path}` : `no vCenter simulator: ${got.reason}`),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
