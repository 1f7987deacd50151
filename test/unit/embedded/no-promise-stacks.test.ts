import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transformFileSync } from '@swc/core';

const root = join(__dirname, '..', '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'hooks-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a thread of a process that was started with the module prints. */
function inThread(body: string): unknown {
  const preload = join(folder, 'preload.js');
  const source = join(root, 'workers', 'embedded', 'no-promise-stacks.ts');
  const { code } = transformFileSync(source, { swcrc: false, module: { type: 'commonjs' } });
  writeFileSync(preload, code);
  const entry = join(folder, 'entry.js');
  writeFileSync(
    entry,
    `const { Worker, isMainThread } = require('node:worker_threads');
     if (isMainThread) new Worker(__filename);
     else (async () => { ${body} })().then((said) => console.log(JSON.stringify(said)));`,
  );
  return JSON.parse(execFileSync(process.execPath, ['--require', preload, entry], { encoding: 'utf8' }));
}

it('refuses the hook that takes a stack trace of every promise', () => {
  const refused = inThread(`
    try { require('node:v8').promiseHooks.createHook({ init() {}, settled() {} }); return false; }
    catch { return true; }`);
  expect(refused).toBe(true);
});

it('leaves alone what carries a scope from promise to promise, by which workflows live', () => {
  const seen = inThread(`
    const { AsyncLocalStorage, createHook } = require('node:async_hooks');
    createHook({ init() {} }).enable();
    const scope = new AsyncLocalStorage();
    return scope.run('mine', async () => {
      await null;
      await new Promise((resolve) => setTimeout(resolve, 1));
      return scope.getStore();
    });`);
  expect(seen).toBe('mine');
});
