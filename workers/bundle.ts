/** Bundles the workflows once, at build time: a worker then starts in a moment and every worker of a build runs the same code. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { packageRoot } from './embedded/package-root';

export const workflowBundlePath = (): string => join(packageRoot(), 'dist', 'workflow-bundle.js');

export async function bundleWorkflows(target: string = workflowBundlePath()): Promise<void> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: require.resolve('../workflows'),
    workflowInterceptorModules: [require.resolve('../workflows/trace-context')],
    logger: new DefaultLogger('WARN'),
  });
  mkdirSync(dirname(target), { recursive: true });
  // A worker that starts meanwhile must see a whole bundle, the old or the new one.
  writeFileSync(`${target}.part`, code);
  renameSync(`${target}.part`, target);
}

if (require.main === module) void bundleWorkflows();
