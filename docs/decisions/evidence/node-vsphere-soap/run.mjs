// What becomes of one runCommand('RelocateVM_Task') of node-vsphere-soap: node run.mjs > output.txt
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startFront } from './front.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const simulatorSources = join(here, '..', '..', '..', '..', 'lab', 'vsphere-sim');
const patienceMs = 20_000;

const firstLine = (stream) => new Promise((resolve) => createInterface({ input: stream }).once('line', resolve));
const shown = ({ event, ms, task, text }) =>
  event === 'result' ? `result after ${ms} ms (${task === null ? 'no task in it' : 'a task'})` : `error after ${ms} ms: ${text}`;

const folder = mkdtempSync(join(tmpdir(), 'evidence-'));
/** What must end before the folder can go. */
const running = new Set();
try {
  await main();
} finally {
  for (const end of running) await end();
  rmSync(folder, { recursive: true, force: true });
}

async function main() {
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(here, file), join(folder, file));
  must('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], folder);
  must('go', ['build', '-o', join(folder, 'vsphere-sim'), '.'], simulatorSources);
  console.log(`node ${process.version}, node-vsphere-soap 0.0.2-5 (with soap 0.8.0 and request 2.88)\n`);
  await experiment('control: nothing is wrong', async () => {}, 1_500);
  await experiment('the session has expired', (sim) => sim.order('expire-sessions', {}), 3_000);
  await experiment(
    'the call is answered with NotAuthenticated, each time; logins succeed',
    (sim) => sim.order('rule', { rule: { method: 'RelocateVM_Task', action: 'fault:NotAuthenticated', times: 1_000_000 } }),
    3_000,
  );
  await experiment('the VM has left the inventory', (sim) => sim.order('unregister', { vm: sim.vmName }), 2_000);
}

function must(command, args, cwd) {
  const { status, error, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

async function experiment(title, arrange, forMs) {
  const sim = await startSimulator();
  const front = await startFront(sim.ready, folder);
  const child = await startCall(sim, front);
  const logins = (await sim.calls('Login')).length;
  await arrange(sim);
  child.stdin.write('go\n');
  await delay(forMs);
  const sent = (await sim.calls('RelocateVM_Task')).length;
  const again = (await sim.calls('Login')).length - logins;
  report(title, child, { sent, again, forMs });
  child.kill('SIGKILL');
  front.stop();
  await sim.end();
}

function report(title, child, { sent, again, forMs }) {
  const events = child.events.filter((e) => e.event === 'result' || e.event === 'error');
  const count = (kind) => events.filter((e) => e.event === kind).length;
  const cookies = child.said.split('vmware_soap_session').length - 1;
  console.log(title);
  console.log(`  what the caller gets   ${events.slice(0, 2).map(shown).join(', then ') || 'nothing'}`);
  console.log(`  results, errors        ${count('result')}, ${count('error')}`);
  console.log(`  sent                   ${sent} times in ${forMs} ms, with ${again} new logins`);
  console.log(`  the caller's process   ${child.exitCode === null ? 'runs' : `ended with ${child.exitCode}`}`);
  console.log(`  on its stderr          ${child.said.length} bytes; the session's cookie ${cookies} times`);
  console.log(`  TLS verification       NODE_TLS_REJECT_UNAUTHORIZED=${child.events[0]?.set}\n`);
}

async function startSimulator() {
  const child = spawn(join(folder, 'vsphere-sim'), ['-exit-with-stdin', '-vm', '1', '-disks', '1'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, TMPDIR: folder },
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const end = async () => {
    child.stdin.end();
    await gone;
    running.delete(end);
  };
  running.add(end);
  const ready = JSON.parse(await firstLine(child.stdout));
  const look = async (path) => (await fetch(`${ready.control}/${path}`)).json();
  const { vms } = await look('state');
  const [[vmName, { ref }]] = Object.entries(vms);
  return {
    ready,
    vmName,
    ref,
    calls: (method) => look(`calls?method=${method}`),
    order: (name, body) => fetch(`${ready.control}/${name}`, { method: 'POST', body: JSON.stringify(body) }),
    end,
  };
}

async function startCall(sim, front) {
  const options = { folder, address: front.address, username: sim.ready.username, password: 'sim-password', vm: sim.ref };
  const child = spawn(process.execPath, [join(here, 'call.mjs'), JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.events = [];
  child.said = '';
  child.stderr.on('data', (chunk) => (child.said += chunk));
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      child.events.push(JSON.parse(line));
      if (child.events.at(-1).event === 'ready') resolve();
    });
    child.once('exit', () => reject(new Error(`the library did not come up: ${child.said.slice(0, 400)}`)));
    setTimeout(() => reject(new Error('the library did not log in')), patienceMs).unref();
  });
  await ready;
  return child;
}
