/** Temporal's server for PostgreSQL, with its schema tool: from the cache, or built with Go, once. What the packaged server is, for this machine. */
import { buildProgram, cachedProgram, type GoProgram, type Obtained } from '../../workers/embedded/go-build';
import { type Progress, silent } from '../../workers/embedded/progress';
import { labFile } from '../lab-file';

/** What the server's own go.mod asks for. */
const GO_MIN = [1, 26, 4] as const;

const clusterProgram = (): GoProgram => ({
  name: 'temporal-cluster',
  title: "Temporal's server for PostgreSQL",
  moduleFolder: labFile('temporal-cluster'),
  target: '.',
  sources: ['go.mod', 'go.sum', 'main.go'],
  linkFlags: '-s -w',
  goMin: GO_MIN,
  announcement:
    "building Temporal's server for PostgreSQL with Go, once: up to 4 minutes on 2 idle cores; later runs find it in the cache",
});

/** Where the program is; undefined when it was never built from these sources. Looks, and builds nothing. */
export const builtCluster = (): string | undefined => cachedProgram(clusterProgram());

/** From the cache, else built. Says why it cannot be had; only tests need it, so that is no error. */
export async function obtainCluster(progress: Progress = silent): Promise<Obtained> {
  const path = builtCluster();
  return path === undefined ? buildProgram(clusterProgram(), progress) : { path };
}
