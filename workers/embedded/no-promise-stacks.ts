/**
 * Loaded by `node --require` into a worker process, and by Node into each of its threads, before the SDK is. In the thread that runs
 * workflows the SDK asks V8 to be called for every promise, and takes a stack trace through the source map each time: a third of what a
 * workflow costs there (measured; https://github.com/temporalio/sdk-typescript/issues/1587), which a storm of restarts has better use for.
 * The SDK has no option for it, but goes on without where V8 cannot be asked. What is lost is the tab "Call Stack" of Temporal's UI, which
 * then says that stack traces are not enabled; a failure keeps its own trace.
 *
 * Node itself asks V8 through the same function, to carry what an `AsyncLocalStorage` holds from promise to promise, and workflows live by that:
 * only the SDK's hook, which has no use for `before` and `after`, is refused.
 */
import { promiseHooks } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

if (!isMainThread) {
  const { createHook } = promiseHooks;
  promiseHooks.createHook = (hooks) => {
    if (hooks.before !== undefined || hooks.after !== undefined || hooks.init === undefined)
      return createHook(hooks);
    throw new Error('promises of workflows are not followed: workers/embedded/no-promise-stacks');
  };
}
