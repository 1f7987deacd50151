import type { FastifyRequest } from 'fastify';
import { mayActAs, type Role } from '../../domain/access';
import type { Caller, HttpDoor } from './door';
import { Problem } from './problems';
import { judgeToken } from '../tokens';

const sentences = {
  malformed: 'The Authorization header holds no token of VMedic',
  unknown: 'This token is not known',
  revoked: 'This token was revoked',
  expired: 'This token has expired',
} as const;

/** Who asks, by their token. @throws Problem 401 for nobody known, 403 for a role that may not. */
export async function admit(door: HttpDoor, needs: Role, request: FastifyRequest): Promise<Caller> {
  const [, text] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  if (text === undefined)
    throw unauthorised('This needs a token: Authorization: Bearer vmedic_...', 'NO_TOKEN', '');
  const verdict = await judgeToken(door.inventory, text, Date.now());
  if (!verdict.ok) throw unauthorised(sentences[verdict.why], 'TOKEN_REFUSED', ', error="invalid_token"');
  const { tokenId, name, role } = verdict.token;
  await door.inventory.noteTokenUse(tokenId, new Date().toISOString());
  if (!mayActAs(role, needs))
    throw new Problem(
      403,
      'ROLE_TOO_LOW',
      `This needs the role ${needs}, and the token "${name}" has ${role}`,
      {
        next: `vmedic token create NAME --role ${needs}`,
      },
    );
  return { name, id: tokenId, role };
}

const unauthorised = (sentence: string, code: string, more: string): Problem =>
  new Problem(401, code, sentence, {
    next: 'vmedic token create NAME --role viewer',
    headers: { 'www-authenticate': `Bearer realm="vmedic"${more}` },
  });
