import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Files that virsh reads. Definitions may hold passwords (graphics, LUKS): 0600 in a 0700 folder, gone after the call. */
export class ScratchFiles {
  private folder: Promise<string> | undefined;
  private made = 0;

  async holding<T>(text: string, use: (path: string) => Promise<T>): Promise<T> {
    this.folder ??= mkdtemp(join(tmpdir(), 'vmedic-virsh-'));
    this.made += 1;
    // Taken before the folder is waited for: several calls that wait together would all find the last number.
    const name = `${this.made}.xml`;
    const path = join(await this.folder, name);
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
    try {
      return await use(path);
    } finally {
      await rm(path, { force: true });
    }
  }

  async close(): Promise<void> {
    const folder = this.folder;
    this.folder = undefined;
    if (folder !== undefined) await rm(await folder, { recursive: true, force: true });
  }
}
