import { userInfo, hostname } from 'node:os';
import pc from 'picocolors';

/** Everything a command touches of its process, so that a test can be one too. */
export interface Io {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Whole text, with its line breaks. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether stderr, where progress goes, is a terminal that can redraw a line. */
  readonly live: boolean;
  readonly color: boolean;
}

export const processIo = (): Io => ({
  env: process.env,
  cwd: process.cwd(),
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  live: process.stderr.isTTY && process.env['TERM'] !== 'dumb',
  color: process.stdout.isTTY && pc.isColorSupported,
});

/** Who acts, when `--by` does not say: the user of this machine. */
export function whoAmI(env: NodeJS.ProcessEnv): string {
  const user = env['SUDO_USER'] ?? userInfo().username;
  return `${user}@${hostname()}`;
}

/** Results go to stdout: one JSON document, or text for people. Everything else goes to stderr. */
export class Output {
  readonly paint: ReturnType<typeof pc.createColors>;
  private statusShown = false;

  constructor(
    private readonly io: Io,
    readonly json: boolean,
  ) {
    this.paint = pc.createColors(io.color && !json);
  }

  /** The command's result: called once. */
  result(document: unknown, text: string): void {
    this.clearStatus();
    this.io.stdout(this.json ? `${JSON.stringify(document, undefined, 2)}\n` : `${text}\n`);
  }

  /** One line of progress. */
  note(line: string): void {
    this.clearStatus();
    this.io.stderr(`${line}\n`);
  }

  /** A line that is redrawn in place, on a terminal only. */
  status(line: string): void {
    if (!this.io.live) return;
    this.io.stderr(`\r\x1b[K${line.slice(0, 118)}`);
    this.statusShown = true;
  }

  private clearStatus(): void {
    if (!this.statusShown) return;
    this.io.stderr('\r\x1b[K');
    this.statusShown = false;
  }
}
