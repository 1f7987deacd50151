// Runs in a process of its own, which the parent kills when it does not end: `node probe-binding.mjs TASK JSON`.
import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Hypervisor } from '@unraid/libvirt';
import { answersIn, probeProcess } from './responsiveness.mjs';

const [task, argument] = process.argv.slice(2);
const { healthy, doomed, doomedPid, calls } = JSON.parse(argument);

// Synchronous, because an asynchronous write may need the very thread pool that is being starved.
const report = (value) => writeSync(1, `${JSON.stringify(value)}\n`);

async function open(uri) {
  const hypervisor = new Hypervisor({ uri });
  await hypervisor.connectOpen();
  return hypervisor;
}

async function outcome(call) {
  try {
    return { resolved: await call() };
  } catch (error) {
    return { rejected: error.message, code: error.code };
  }
}

const tasks = {
  /** N calls to a host that stops answering, then everything else the process should be able to do. */
  async hang() {
    const [other, hung] = [await open(healthy), await open(doomed)];
    process.kill(doomedPid, 'SIGSTOP');
    let ended = 0;
    for (let call = 0; call < calls; call += 1) void hung.connectListAllDomains().then(() => (ended += 1));
    await delay(300);
    report({ rows: await probeProcess(() => other.connectListAllDomains()), ended });
    process.exit(0);
  },

  /** What a caller learns from a daemon that is gone, and from one that was never there. */
  async dead() {
    const hypervisor = await open(doomed);
    const alive = await outcome(() => hypervisor.connectListDomains());
    const noSuchDomain = await outcome(() => hypervisor.domainLookupByName('nope'));
    process.kill(doomedPid, 'SIGKILL');
    await delay(300);
    const listed = await outcome(() => hypervisor.connectListDomains());
    const defined = await outcome(() => hypervisor.connectListDefinedDomains());
    const all = await outcome(async () => (await hypervisor.connectListAllDomains()).length);
    const notThere = await outcome(() => open('qemu+unix:///session?socket=/nonexistent/socket'));
    report({ alive, noSuchDomain, listed, defined, all, notThere });
    process.exit(0);
  },

  async cost() {
    const hypervisor = await open(healthy);
    const samples = [];
    for (let call = 0; call < calls; call += 1) {
      samples.push(await answersIn(() => hypervisor.connectListAllDomains()));
    }
    report({ samples });
    process.exit(0);
  },
};

await tasks[task]();
