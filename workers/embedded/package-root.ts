import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of VMedic's package.json: the same whether this runs from `dist/` or from its source. */
export function packageRoot(): string {
  for (let folder = __dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (
      existsSync(manifest) &&
      (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === 'vmedic'
    )
      return folder;
  }
  throw new Error(`VMedic's package.json was not found above ${__dirname}; the installation is incomplete`);
}
