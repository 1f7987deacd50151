/** Run as a process of its own, to be killed in the middle: makes a lab in the folder that is given, and says how far it is. */
import { createLab } from '../../lab/lab';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

createLab({ folder: process.argv[2], hosts: 2, vms: 4, ticks: 2, progress: say })
  .then((lab) => lab.up())
  .catch((cause: unknown) => {
    process.stderr.write(`${String(cause)}\n`);
    process.exitCode = 1;
  });
