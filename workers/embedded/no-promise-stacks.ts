/**
 * Loaded by `node --require` into a worker process, and by Node into each of its threads, before the SDK is. In the thread that runs
 * workflows the SDK asks V8 to be called for every promise, and takes a stack trace through the source map each time: a third of what a
 * workflow costs there (measured; https://github.com/temporalio/sdk-typescript/issues/1587), which a storm of restarts has better use for.
 * The SDK has no option for it, but goes on without where V8 cannot be asked. What is lost is the tab "Call Stack" of Temporal's UI, which
 * then says that stack traces are not enabled; a failure keeps its own trace.
 */
import { promiseHooks } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

if (!isMainThread)
  promiseHooks.createHook = () => {
    throw new Error('promises of workflows are not followed: workers/embedded/no-promise-stacks');
  };
