import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** The folder that holds package.json, whether this runs from `dist/` or from its source. */
function packageRoot(): string {
  for (let folder = __dirname; folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(join(folder, 'package.json'))) return folder;
  throw new Error(`no package.json above ${__dirname}: the installation is incomplete`);
}

/** A file of the lab that is no TypeScript, such as `host/host`. */
export function labFile(path: string): string {
  return join(packageRoot(), 'lab', path);
}

/** A program of the lab that runs as a process of its own: always the compiled one. @throws when it was not compiled. */
export function labProgram(path: string): string {
  const root = packageRoot();
  const file = join(root, 'dist', 'lab', path);
  if (!existsSync(file))
    throw new Error(`${relative(root, file)} is missing in ${root}: run \`make build\` there`);
  return file;
}
