/** `vmedic setup` on a Temporal server and a PostgreSQL that know nothing of VMedic yet. */
import { randomUUID } from 'node:crypto';
import { Connection } from '@temporalio/client';
import { searchAttributeNames } from '../../workflows/inputs';
import { openInventory } from '../../drivers/postgres';
import { setUp } from '../../workers/set-up';
import { createTestDatabase, temporalAddress } from '../support/servers';

it('makes namespace, search attributes and tables, also when asked by several at once, and then finds them there', async () => {
  const database = await createTestDatabase();
  const settings = { address: temporalAddress(), namespace: `vmedic-${randomUUID().slice(0, 8)}` };
  const names = Object.values(searchAttributeNames);
  try {
    const once = () => setUp(settings, database.url, () => undefined);
    const made = await Promise.all([once(), once()]);
    expect(made.some((m) => m.namespace === 'made')).toBe(true);
    expect(await once()).toEqual({ namespace: 'there already', searchAttributes: [] });
    const connection = await Connection.connect({ address: settings.address });
    const { customAttributes } = await connection.operatorService.listSearchAttributes({
      namespace: settings.namespace,
    });
    await connection.close();
    expect(Object.keys(customAttributes)).toEqual(expect.arrayContaining(names));
    const inventory = openInventory({ url: database.url });
    expect(await inventory.incidents()).toEqual([]);
    await inventory.close();
  } finally {
    await database.drop();
  }
});

it('a server that does not answer is named, with what to do', async () => {
  const database = await createTestDatabase();
  try {
    await expect(
      setUp({ address: '127.0.0.1:1', namespace: 'default' }, database.url, () => undefined),
    ).rejects.toMatchObject({ kind: 'unreachable', message: 'Temporal does not answer on 127.0.0.1:1' });
  } finally {
    await database.drop();
  }
});
