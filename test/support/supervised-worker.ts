import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';

/** Keeps one worker alive, as a service manager does, and counts how often it had to. */
export class SupervisedWorker {
  deaths = 0;
  private child: ChildProcess | undefined;
  private over = false;

  constructor(
    private readonly args: readonly string[],
    /** Beside this file. */
    private readonly main = 'simulated-worker-main.ts',
  ) {
    this.start();
  }

  private start(): void {
    const preload = ['-r', join(__dirname, 'typescript-child.cjs')];
    const entry = join(__dirname, this.main);
    const child = spawn(process.execPath, [...preload, entry, ...this.args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: process.env,
    });
    this.child = child;
    child.once('exit', () => {
      if (this.over) return;
      this.deaths += 1;
      this.start();
    });
  }

  async end(): Promise<void> {
    this.over = true;
    const gone = new Promise((resolve) => this.child?.once('exit', resolve));
    this.child?.kill('SIGKILL');
    await gone;
  }
}
