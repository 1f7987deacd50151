import type { FrontDoorPort } from '../../../activities/ports';
import { at, type InventoryCase } from './samples';

const token = (name: string, more: object = {}) => ({
  ...{ tokenId: `id-${name}`, name, role: 'operator' as const, digest: 'd'.repeat(64) },
  ...{ createdAt: at(0), createdBy: 'ada', expiresAt: undefined },
  ...more,
});

const asked = { caller: 'id-a', key: 'k', asked: 'one', leaseMs: 10_000 };
const answer = { status: 202, headers: { location: '/v1/incidents/x' }, body: { answer: 'started' } };

const entry = (n: number): Parameters<FrontDoorPort['noteAudit']>[0] => ({
  ...{ at: at(n), who: 'ada', via: 'api', origin: '127.0.0.1', action: 'recoverHost', target: 'hv-a' },
  ...{ reason: `reason ${n}`, answer: '202', requestId: `r-${n}` },
});

export const frontDoorCases: readonly InventoryCase[] = [
  {
    name: 'a name has one valid token at a time, however many ask for it at once',
    async run({ inventory, other }) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          (i % 2 === 0 ? inventory : other).createToken(token('bot', { tokenId: `id-${i}` })),
        ),
      );
      expect(answers.filter((a) => a === 'created')).toHaveLength(1);
      expect(await inventory.revokeToken('bot', 'ada', at(1))).toBe('revoked');
      expect(await inventory.revokeToken('bot', 'ada', at(2))).toBe('not-valid');
      expect(await inventory.createToken(token('bot', { tokenId: 'id-new' }))).toBe('created');
      const [newest, first] = await inventory.tokens();
      expect([newest?.revokedAt, first?.revokedAt].sort()).toEqual([at(1), undefined]);
    },
  },
  {
    name: 'the use of a token is written once a minute',
    async run({ inventory }) {
      await inventory.createToken(token('bot'));
      for (const s of [1, 30, 60]) await inventory.noteTokenUse('id-bot', at(s));
      expect((await inventory.token('id-bot'))?.lastUsedAt).toBe(at(1));
      await inventory.noteTokenUse('id-bot', at(62));
      expect((await inventory.token('id-bot'))?.lastUsedAt).toBe(at(62));
      expect(await inventory.token('id-none')).toBeUndefined();
    },
  },
  {
    name: 'the audit trail is read newest first, page by page, whatever bytes stand in it',
    async run({ inventory }) {
      for (const n of [1, 2]) await inventory.noteAudit(entry(n));
      await inventory.noteAuditAnswer(await inventory.noteAudit(entry(3)), 'busy');
      await inventory.noteAudit({ ...entry(4), reason: 'NUL \0 and half a \ud800', requestId: undefined });
      const first = await inventory.auditTrail({ limit: 2 });
      expect(first.map((a) => a.at)).toEqual([at(4), at(3)]);
      expect(first[1]).toMatchObject({ answer: 'busy', action: 'recoverHost' });
      expect(first[0]?.reason).toBe('NUL \ufffd and half a \ufffd');
      const rest = await inventory.auditTrail({ limit: 9, olderThan: first[1]?.id ?? 0 });
      expect(rest.map((a) => a.reason)).toEqual(['reason 2', 'reason 1']);
    },
  },
  {
    name: 'of many requests with one key exactly one is carried out, and the others get its answer',
    async run({ inventory, other }) {
      const claims = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          (i % 2 === 0 ? inventory : other).claimAnswer({ ...asked, at: at(i / 10) }),
        ),
      );
      expect(claims.map((c) => c.claim).sort()).toEqual(['mine', ...Array<string>(9).fill('under-way')]);
      await inventory.keepAnswer(asked.caller, asked.key, answer);
      expect(await other.claimAnswer({ ...asked, at: at(99) })).toEqual({ claim: 'answered', answer });
      expect(await other.claimAnswer({ ...asked, asked: 'two', at: at(99) })).toEqual({
        claim: 'other-request',
      });
      expect(await other.claimAnswer({ ...asked, caller: 'id-b', at: at(99) })).toEqual({ claim: 'mine' });
    },
  },
  {
    name: 'a key whose request never answered is free for the same request after its lease, or at once when given back',
    async run({ inventory, other }) {
      await inventory.claimAnswer({ ...asked, at: at(0) });
      expect((await other.claimAnswer({ ...asked, at: at(9) })).claim).toBe('under-way');
      expect((await other.claimAnswer({ ...asked, asked: 'two', at: at(11) })).claim).toBe('other-request');
      expect((await other.claimAnswer({ ...asked, at: at(11) })).claim).toBe('mine');
      await other.dropAnswer(asked.caller, asked.key);
      expect((await inventory.claimAnswer({ ...asked, asked: 'two', at: at(12) })).claim).toBe('mine');
      await inventory.keepAnswer(asked.caller, asked.key, answer);
      await inventory.dropAnswer(asked.caller, asked.key);
      expect((await inventory.claimAnswer({ ...asked, asked: 'two', at: at(13) })).claim).toBe('answered');
    },
  },
  {
    name: 'a message that many receive at once is new to one of them',
    async run({ inventory, other }) {
      const heard = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          (i % 2 === 0 ? inventory : other).receive('pager', 'm-1', at(i)),
        ),
      );
      expect(heard.filter((h) => h === 'first')).toHaveLength(1);
      expect(await inventory.receive('other', 'm-1', at(1))).toBe('first');
      await inventory.forgetReceipt('pager', 'm-1');
      expect(await inventory.receive('pager', 'm-1', at(2))).toBe('first');
    },
  },
];
