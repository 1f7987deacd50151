import { readFileSync } from 'node:fs';
import { ScratchFiles } from '../../../drivers/libvirt/scratch-files';

it('gives each of many calls at once a file of its own, the first ones too', async () => {
  const files = new ScratchFiles();
  const texts = Array.from({ length: 20 }, (_, i) => `<domain>${i}</domain>`);
  const read = await Promise.all(
    texts.map((text) => files.holding(text, (path) => Promise.resolve(readFileSync(path, 'utf8')))),
  );
  await files.close();
  expect(read).toEqual(texts);
});
