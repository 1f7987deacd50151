import { and, eq, inArray, isNull, lt, lte, or, sql, type SQL } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import type { FenceDeviceId } from '../../domain/ids';
import { millisOf, type Timestamp } from '../../domain/observations';
import type { Connections, Db } from './connection';
import { prepared } from './prepared';
import { fenceDevices, fenceRefusals } from './schema';

/** A device that answers all the time is written down no more often than this. */
const answerEveryMs = 5_000;

export const fenceDeviceRows = (
  connections: Connections,
): Pick<InventoryPort, 'deviceHealth' | 'noteDeviceAnswer' | 'forgetLoginRefusals'> => ({
  async deviceHealth(id) {
    const [row] = await connections.run((db) => health(db).execute({ id }));
    return {
      deviceId: id,
      loginRefusals: row?.refusals ?? 0,
      lastRefusedAt: row?.lastRefusedAt ?? undefined,
      lastAnswerAt: row?.lastAnswerAt ?? undefined,
    };
  },

  async noteDeviceAnswer(id, answer, at) {
    await connections.transact((db) =>
      answer === 'answered' ? noteAnswer(db, id, at) : noteRefusal(db, id, at),
    );
  },

  async forgetLoginRefusals(ids) {
    if (ids.length === 0) return;
    await connections.run((db) => db.delete(fenceRefusals).where(inArray(fenceRefusals.deviceId, [...ids])));
  },
});

const health = prepared((db) => {
  const id = sql.placeholder('id');
  return db
    .select({
      refusals: db.$count(fenceRefusals, eq(fenceRefusals.deviceId, id)),
      lastRefusedAt: fenceDevices.lastRefusedAt,
      lastAnswerAt: fenceDevices.lastAnswerAt,
    })
    .from(fenceDevices)
    .where(eq(fenceDevices.deviceId, id))
    .prepare('device_health');
});

/** It let us in: refusals of before say nothing about the password any more. */
async function noteAnswer(db: Db, deviceId: FenceDeviceId, at: Timestamp): Promise<void> {
  const worthWriting = or(
    isNull(fenceDevices.lastAnswerAt),
    lte(fenceDevices.lastAnswerAt, new Date(millisOf(at) - answerEveryMs).toISOString()),
    // An answer after a refusal is news, however short after the one before it.
    and(lt(fenceDevices.lastAnswerAt, at), lte(fenceDevices.lastAnswerAt, fenceDevices.lastRefusedAt)),
  ) as SQL;
  await db.delete(fenceRefusals).where(and(eq(fenceRefusals.deviceId, deviceId), lte(fenceRefusals.at, at)));
  await db
    .insert(fenceDevices)
    .values({ deviceId, lastAnswerAt: at })
    .onConflictDoUpdate({
      target: fenceDevices.deviceId,
      set: { lastAnswerAt: at },
      setWhere: worthWriting,
    });
}

async function noteRefusal(db: Db, deviceId: FenceDeviceId, at: Timestamp): Promise<void> {
  const [device] = await db
    .insert(fenceDevices)
    .values({ deviceId, lastRefusedAt: at })
    .onConflictDoUpdate({
      target: fenceDevices.deviceId,
      set: { lastRefusedAt: sql`greatest(${fenceDevices.lastRefusedAt}, excluded.last_refused_at)` },
    })
    .returning();
  const answeredSince =
    typeof device?.lastAnswerAt === 'string' && millisOf(device.lastAnswerAt) >= millisOf(at);
  if (!answeredSince) await db.insert(fenceRefusals).values({ deviceId, at }).onConflictDoNothing();
}
