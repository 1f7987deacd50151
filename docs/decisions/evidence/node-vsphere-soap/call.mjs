// The library in a process of its own, because one experiment ends it. One JSON line per event on stdout.
import { createRequire } from 'node:module';

const { folder, address, username, password, vm } = JSON.parse(process.argv[2]);
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const { Client } = createRequire(`${folder}/`)('node-vsphere-soap');
console.log = () => {};

const client = new Client(address, username, password, false);
say({ event: 'verification', set: process.env.NODE_TLS_REJECT_UNAUTHORIZED ?? 'as it was' });
client.on('error', (error) => say({ event: 'client error', text: String(error).slice(0, 60) }));
client.once('ready', () => {
  say({ event: 'ready' });
  process.stdin.once('data', () => {
    const begun = Date.now();
    const call = client.runCommand('RelocateVM_Task', {
      _this: { attributes: { type: 'VirtualMachine' }, $value: vm },
      spec: {},
    });
    const after = () => Date.now() - begun;
    call.on('result', (result) => say({ event: 'result', ms: after(), task: result?.returnval ?? null }));
    call.on('error', (error) => say({ event: 'error', ms: after(), text: String(error).replace(/\s+/g, ' ').slice(0, 60) }));
  });
});
