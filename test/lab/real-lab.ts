import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { type Lab, type LabOptions, createLab } from '../../lab/lab';
import { removeLab } from '../../lab/remove';

/** Fast enough to show a second writer within a second. */
const TEST_TICKS = 2;

/** Short, because sockets lie below it; random, because several runs may share the machine. */
export const newLabFolder = (): string => `/tmp/vl-${randomBytes(4).toString('hex')}`;

/** A lab that is up; take it down in afterAll. */
export async function labUp(options: LabOptions = {}): Promise<Lab> {
  const lab = await createLab({ folder: newLabFolder(), ticks: TEST_TICKS, ...options });
  try {
    await lab.up();
    return lab;
  } catch (cause) {
    await removeLab(lab.folder);
    throw cause;
  }
}

/** What still runs out of a folder, as `pid command`. For the test's eyes only: nothing is ever ended by its name. */
export function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => ({ pid, command: commandLine(pid) }))
    .filter(({ command }) => command.includes(`${folder}/`))
    .map(({ pid, command }) => `${pid} ${command}`);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    // It ended while we looked, or it is somebody else's.
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return '';
    throw cause;
  }
}
