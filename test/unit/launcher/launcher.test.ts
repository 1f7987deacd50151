import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testIf } from '../../support/optional';

const source = join(__dirname, '..', '..', '..');
let root: string;

/** An installation of its own, whose command line is `main`. */
function install(main?: string): string {
  mkdirSync(join(root, 'bin'));
  const launcher = join(root, 'bin', 'vmedic');
  copyFileSync(join(source, 'bin', 'vmedic'), launcher);
  if (main !== undefined) {
    mkdirSync(join(root, 'dist', 'client', 'cli'), { recursive: true });
    writeFileSync(join(root, 'dist', 'client', 'cli', 'main.js'), `exports.main = ${main};`);
  }
  return launcher;
}

function run(launcher: string, ...args: string[]) {
  return spawnSync(process.execPath, [launcher, ...args], { encoding: 'utf8', env: process.env });
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'vml-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

describe('bin/vmedic', () => {
  it('says how to compile it when it is not compiled', () => {
    const { status, stderr } = run(install());
    expect(status).toBe(2);
    expect(stderr).toBe(`VMedic is not compiled yet: run "make build" in ${root}\n`);
  });

  // As root it becomes the user vmedic first, with a script that is not part of this copy.
  const asOrdinaryUser = testIf(
    process.getuid?.() !== 0,
    'the tests run as root: start them with make test',
    'beyond-ci',
  );

  asOrdinaryUser('hands the arguments over as they are, and the exit code back', () => {
    const launcher = install('async (argv) => { process.stdout.write(JSON.stringify(argv)); return 5; }');
    const { status, stdout } = run(launcher, 'host', 'recover', 'hv a', '--reason', 'it is "off"');
    expect(JSON.parse(stdout)).toEqual(['host', 'recover', 'hv a', '--reason', 'it is "off"']);
    expect(status).toBe(5);
  });

  asOrdinaryUser('finds the fence agents, which are on no ordinary PATH', () => {
    const launcher = install('async () => { process.stdout.write(process.env.PATH); return 0; }');
    expect(run(launcher).stdout).toMatch(/:\/usr\/sbin(:|$)/);
  });

  asOrdinaryUser('calls a fault of its own a fault, and keeps its cause', () => {
    const { status, stderr } = run(install("async () => { throw new Error('the world is flat'); }"));
    expect(status).toBe(1);
    expect(stderr).toMatch(/fault of its own[^]*the world is flat/);
  });

  asOrdinaryUser(
    'leaves a signal to the command, which may still have to put things in order',
    async () => {
      const launcher = install(
        "() => new Promise((resolve) => { process.once('SIGTERM', () => resolve(4)); console.log('ready'); const limit = setTimeout(resolve, 30000, 9); process.once('SIGTERM', () => clearTimeout(limit)); })",
      );
      const child = spawn(process.execPath, [launcher], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: process.env,
      });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      const exit = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await expect(exit).resolves.toBe(4);
    },
    40_000,
  );
});
