/** The vCenter simulator's program: from the cache, or built with Go, once. */
import { readdirSync } from 'node:fs';
import { buildProgram, cachedProgram, type GoProgram, type Obtained } from '../../workers/embedded/go-build';
import { type Progress, silent } from '../../workers/embedded/progress';
import { labFile } from '../lab-file';

/** govmomi v0.56.0 is written for it. */
const GO_MIN = [1, 25, 0] as const;

const simulatorProgram = (): GoProgram => {
  const moduleFolder = labFile('vsphere-sim');
  return {
    name: 'vsphere-sim',
    title: 'the vCenter simulator',
    moduleFolder,
    target: '.',
    sources: readdirSync(moduleFolder)
      .filter((file) => /\.(go|mod|sum)$/.test(file))
      .sort(),
    linkFlags: '-s -w',
    goMin: GO_MIN,
    announcement:
      'building the vCenter simulator with Go, once: about a minute on 2 idle cores; later runs find it in the cache',
  };
};

/** Where the program is; undefined when it was never built from these sources. Looks, and builds nothing. */
export const builtSimulator = (): string | undefined => cachedProgram(simulatorProgram());

/** From the cache, else built. Says why it cannot be had; nothing else needs it, so that is no error. */
export async function obtainSimulator(progress: Progress = silent): Promise<Obtained> {
  const path = builtSimulator();
  return path === undefined ? buildProgram(simulatorProgram(), progress) : { path };
}
