// What the npm bindings for libvirt do when a hypervisor hangs or dies, beside virsh children. See README.md.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missingPackages, nodeHeaders, versions } from './prerequisites.mjs';
import { PATIENCE_MS } from './responsiveness.mjs';
import { Host, identity, makeScratch, removeScratch } from './scratch.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const PROGRAMS = ['package.json', 'package-lock.json', 'responsiveness.mjs', 'probe-binding.mjs', 'probe-virsh.mjs'];
const PROBE_LIMIT_MS = 12_000;
const EXIT_LIMIT_MS = 3_000;
const WHOLE_RUN_LIMIT_MS = 300_000;
const COST_CALLS = 60;

const print = (line = '') => process.stdout.write(`${line}\n`);
const say = (line) => process.stderr.write(`... ${line}\n`);

function table(title, header, rows) {
  const cells = [header, ...rows].map((row) => row.map(String));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const line = (row) => row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd();
  print(`\n${title}`);
  print(`  ${line(cells[0])}`);
  print(`  ${widths.map((width) => '-'.repeat(width)).join('  ')}`);
  for (const row of cells.slice(1)) print(`  ${line(row)}`);
}

const atPercent = (samples, percent) => {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))].toFixed(1);
};

// --- installing and compiling ---------------------------------------------------------------------------------

function installPackages(scratch) {
  say('installing the two bindings into a scratch folder');
  for (const file of PROGRAMS) copyFileSync(join(HERE, file), join(scratch, file));
  const options = { cwd: scratch, encoding: 'utf8', timeout: 120_000 };
  // No install scripts: each package is compiled below, from its published source, and its output kept.
  const done = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], options);
  if (done.status !== 0) throw new Error(`npm ci failed:\n${done.stderr}`);
}

function compile(scratch, name) {
  say(`compiling ${name}`);
  const cwd = join(scratch, 'node_modules', name);
  const headers = nodeHeaders();
  const words = [join(scratch, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js'), 'rebuild'];
  if (headers) words.push(`--nodedir=${headers}`);
  const done = spawnSync(process.execPath, words, { cwd, encoding: 'utf8', timeout: 180_000, env: { ...process.env, LC_ALL: 'C' } });
  const errors = `${done.stdout}${done.stderr}`.split('\n').filter((line) => line.includes(' error: '));
  return { compiled: done.status === 0, errors: errors.map((line) => line.replace('../', '')) };
}

function printCompilation(name, { compiled, errors }) {
  print(`  ${name}: ${compiled ? 'compiles' : `does not compile, ${errors.length} errors in the first source file; its head:`}`);
  for (const line of errors.slice(0, 8)) print(`      ${line.length > 140 ? `${line.slice(0, 137)}...` : line}`);
}

// --- probes ---------------------------------------------------------------------------------------------------

/** Runs one probe process; what it reported, and whether it then ended by itself. */
function probe(scratch, program, task, argument, env = {}) {
  const { env: hostEnv, ...question } = argument;
  return new Promise((resolve, reject) => {
    const words = [join(scratch, program), task, JSON.stringify(question)];
    const options = { cwd: scratch, detached: true, stdio: ['ignore', 'pipe', 'pipe'], ...identity };
    const child = spawn(process.execPath, words, { ...options, env: { ...hostEnv, ...env } });
    const heard = { out: '', err: '', endedByItself: true };
    const kill = () => {
      heard.endedByItself = false;
      process.kill(-child.pid, 'SIGKILL');
    };
    let timer = setTimeout(kill, PROBE_LIMIT_MS);
    child.stdout.on('data', (chunk) => {
      heard.out += chunk;
      clearTimeout(timer); // it has reported, and calls process.exit() next
      timer = setTimeout(kill, EXIT_LIMIT_MS);
    });
    child.stderr.on('data', (chunk) => (heard.err += chunk));
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      if (heard.out === '') reject(new Error(`${program} ${task} said nothing: ${heard.err}`));
      else resolve({ ...JSON.parse(heard.out), endedByItself: heard.endedByItself });
    });
  });
}

/** Every probe gets two fresh hosts, since it freezes or kills one of them. */
async function withHosts(scratch, hosts, use) {
  const [healthy, doomed] = [new Host(scratch, 'b'), new Host(scratch, 'a')];
  hosts.push(healthy, doomed);
  try {
    await Promise.all([healthy.start(), doomed.start()]);
    return await use({ healthy: healthy.uri, doomed: doomed.uri, doomedPid: doomed.pid, env: healthy.env });
  } finally {
    doomed.thaw();
    await Promise.all([healthy.kill(), doomed.kill()]);
    hosts.length = 0;
  }
}

const shown = (ms) => (ms === null ? 'NO ANSWER' : `${ms.toFixed(1)} ms`);

async function measureHangs(scratch, hosts, canBind) {
  const columns = [];
  const measure = (title, program, calls, env) => async () => {
    say(title);
    const result = await withHosts(scratch, hosts, (pair) => probe(scratch, program, 'hang', { ...pair, calls }, env));
    columns.push({ title, calls, ...result });
    return result;
  };
  if (canBind) {
    for (const calls of [0, 3, 4]) await measure(`binding, ${calls} hung`, 'probe-binding.mjs', calls)();
    await measure('binding, 16 hung, pool of 16', 'probe-binding.mjs', 16, { UV_THREADPOOL_SIZE: '16' })();
  }
  const children = await measure('virsh, 16 hung', 'probe-virsh.mjs', 16)();
  const names = Object.keys(children.rows);
  const rows = names.map((name) => [name, ...columns.map((column) => shown(column.rows[name]))]);
  rows.push(
    ['process.exit()', ...columns.map((column) => (column.endedByItself ? 'ends' : `NOT IN ${EXIT_LIMIT_MS / 1000} s`))],
    ['hung calls that ended', ...columns.map((column) => `${column.ended ?? column.killed} of ${column.calls}`)],
  );
  table(
    `Calls to a hung host (its libvirtd is stopped). Can the same Node process still do this within ${PATIENCE_MS / 1000} s?`,
    ['', ...columns.map((column) => column.title)],
    rows,
  );
  print(
    `  virsh: ${children.killed} of 16 hung children were killed at their deadline of ${children.deadlineMs} ms, the last was` +
      ` gone after ${children.latestEndMs.toFixed(0)} ms; longest stop of the event loop ${children.loopDelayMaxMs.toFixed(0)} ms.`,
  );
}

const asAnswer = (answer) =>
  'rejected' in answer ? `rejected, code ${answer.code}: "${answer.rejected}"` : `resolved: ${JSON.stringify(answer.resolved)}`;
const asExit = ({ code, out, err }) => `exit code ${code}, ${code === 0 ? `output "${out}"` : `"${err}"`}`;

async function measureDeath(scratch, hosts, canBind) {
  say('a daemon that dies');
  const rows = [];
  const ask = (program) => withHosts(scratch, hosts, (pair) => probe(scratch, program, 'dead', pair));
  if (canBind) {
    const binding = await ask('probe-binding.mjs');
    rows.push(
      ['binding', 'running domains, daemon alive', asAnswer(binding.alive)],
      ['binding', 'running domains, daemon DEAD', asAnswer(binding.listed)],
      ['binding', 'defined domains, daemon DEAD', asAnswer(binding.defined)],
      ['binding', 'all domains, daemon DEAD', asAnswer(binding.all)],
      ['binding', 'look up a domain that is not there', asAnswer(binding.noSuchDomain)],
      ['binding', 'connect where no daemon is', asAnswer(binding.notThere)],
    );
  }
  const virsh = await ask('probe-virsh.mjs');
  rows.push(
    ['virsh', 'all domains, daemon alive', asExit(virsh.alive)],
    ['virsh', 'all domains, daemon DEAD', asExit(virsh.listed)],
    ['virsh', 'look up a domain that is not there', asExit(virsh.noSuchDomain)],
  );
  const withoutPaths = rows.map((row) => row.map((cell) => cell.replaceAll(scratch, '')));
  table('What the caller learns (one domain, "test", runs there)', ['by', 'question', 'answer'], withoutPaths);
}

async function measureCost(scratch, hosts, canBind) {
  say('cost per call');
  const ask = (program) => withHosts(scratch, hosts, (pair) => probe(scratch, program, 'cost', { ...pair, calls: COST_CALLS }));
  const rows = [];
  if (canBind) {
    const { samples } = await ask('probe-binding.mjs');
    rows.push(['binding, one open connection', atPercent(samples, 50), atPercent(samples, 95), '-', '-']);
  }
  const virsh = await ask('probe-virsh.mjs');
  rows.push([
    'virsh, one child per call',
    atPercent(virsh.samples, 50),
    atPercent(virsh.samples, 95),
    virsh.cpuMsPerCall.toFixed(0),
    atPercent(virsh.spawns, 50),
  ]);
  table(
    `Cost of "all domains with their state" on a healthy host, ms over ${COST_CALLS} calls one after the other`,
    ['', 'p50', 'p95', 'CPU of the child', 'spawn() holds the event loop'],
    rows,
  );
}

// --- the run --------------------------------------------------------------------------------------------------

async function main() {
  const missing = missingPackages();
  if (missing.length > 0) {
    process.stderr.write(`Missing here: ${missing.join(' ')}\nInstall: apt-get install --no-install-recommends ${missing.join(' ')}\n`);
    return 2;
  }
  const scratch = makeScratch();
  const hosts = [];
  const cleanUp = async () => {
    await Promise.all(hosts.map((host) => host.kill()));
    removeScratch(scratch);
  };
  const abandon = (why) => () => {
    process.stderr.write(`${why}; cleaning up\n`);
    void cleanUp().finally(() => process.exit(1));
  };
  setTimeout(abandon(`not done within ${WHOLE_RUN_LIMIT_MS / 1000} s`), WHOLE_RUN_LIMIT_MS).unref();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, abandon(signal));
  try {
    const { node, libvirt, compiler } = versions();
    print(`Node ${node}, libvirt ${libvirt}, ${compiler}, ${cpus().length} cores`);
    installPackages(scratch);
    print('\nThe packages, compiled from their published source');
    printCompilation('libvirt 1.2.1 (hooklift/node-libvirt)', compile(scratch, 'libvirt'));
    const relative = compile(scratch, '@unraid/libvirt');
    printCompilation('@unraid/libvirt 2.2.1', relative);
    await measureHangs(scratch, hosts, relative.compiled);
    await measureDeath(scratch, hosts, relative.compiled);
    await measureCost(scratch, hosts, relative.compiled);
    return 0;
  } finally {
    await cleanUp();
  }
}

process.exitCode = await main();
