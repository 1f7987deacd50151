// The same questions, asked through virsh children: `node probe-virsh.mjs TASK JSON`.
import { spawn } from 'node:child_process';
import { readFileSync, writeSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { answersIn, probeProcess } from './responsiveness.mjs';

const [task, argument] = process.argv.slice(2);
const { healthy, doomed, doomedPid, calls } = JSON.parse(argument);
const DEADLINE_MS = 1000;

const report = (value) => writeSync(1, `${JSON.stringify(value)}\n`);

/** One call: a child in a process group of its own, which is killed as a whole at the deadline. */
function virsh(uri, words, deadlineMs = 5000) {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const child = spawn('virsh', ['-q', '-c', uri, ...words], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const out = { stdout: '', stderr: '', killed: false };
    child.stdout.on('data', (chunk) => (out.stdout += chunk));
    child.stderr.on('data', (chunk) => (out.stderr += chunk));
    const timer = setTimeout(() => {
      out.killed = true;
      process.kill(-child.pid, 'SIGKILL');
    }, deadlineMs);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ ...out, code, ms: performance.now() - begun });
    });
  });
}

const states = (uri, deadlineMs) => virsh(uri, ['domstats', '--state', '--raw'], deadlineMs);

/** CPU seconds of the children waited for so far (fields 16 and 17 of proc(5) stat, in ticks of 10 ms). */
function childrenCpuSeconds() {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

const brief = ({ code, stdout, stderr }) => ({ code, out: stdout.trim(), err: stderr.trim().replaceAll('\n', ' ') });

const tasks = {
  async hang() {
    process.kill(doomedPid, 'SIGSTOP');
    const loop = monitorEventLoopDelay({ resolution: 1 });
    loop.enable();
    const hung = Array.from({ length: calls }, () => states(doomed, DEADLINE_MS));
    await delay(300);
    const rows = await probeProcess(() => states(healthy));
    const ended = await Promise.all(hung);
    loop.disable();
    report({
      rows,
      killed: ended.filter((call) => call.killed).length,
      latestEndMs: Math.max(...ended.map((call) => call.ms)),
      deadlineMs: DEADLINE_MS,
      loopDelayMaxMs: loop.max / 1e6,
    });
    process.exit(0);
  },

  async dead() {
    const alive = brief(await virsh(doomed, ['list', '--all', '--name']));
    const noSuchDomain = brief(await virsh(doomed, ['domstate', 'nope']));
    process.kill(doomedPid, 'SIGKILL');
    await delay(300);
    const listed = brief(await virsh(doomed, ['list', '--all', '--name']));
    report({ alive, noSuchDomain, listed });
    process.exit(0);
  },

  async cost() {
    const samples = [];
    const spawns = [];
    const cpu = childrenCpuSeconds();
    for (let call = 0; call < calls; call += 1) {
      const begun = performance.now();
      samples.push(await answersIn(() => {
        const answer = states(healthy);
        spawns.push(performance.now() - begun); // spawn() is synchronous: what the event loop stands still for
        return answer;
      }));
    }
    report({ samples, spawns, cpuMsPerCall: ((childrenCpuSeconds() - cpu) / calls) * 1000 });
    process.exit(0);
  },
};

await tasks[task]();
