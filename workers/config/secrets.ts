import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { errnoOf } from './errno';
import type { SecretReference } from './types';

export type Resolved =
  { readonly ok: true; readonly value: string } | { readonly ok: false; readonly why: string };

export const isSecretReference = (text: string): boolean => /^(file|env):/.test(text);

/**
 * Reads what a reference points at, without its last line break. The answer's `why` names the reference and never a value. `folder` is
 * the config's: relative files are looked for there.
 */
export function resolveSecret(
  reference: SecretReference,
  folder: string,
  env: NodeJS.ProcessEnv = process.env,
): Resolved {
  const at = reference.slice(reference.indexOf(':') + 1);
  if (reference.startsWith('env:')) {
    const value = env[at];
    return value === undefined || value === ''
      ? { ok: false, why: `${reference}: the environment has no ${at}` }
      : { ok: true, value };
  }
  const file = isAbsolute(at) ? at : resolve(folder, at);
  try {
    const value = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    return value === '' ? { ok: false, why: `${reference}: the file is empty` } : { ok: true, value };
  } catch (cause) {
    const code = errnoOf(cause);
    if (code === 'ENOENT') return { ok: false, why: `${reference}: there is no such file` };
    if (code === 'EACCES') return { ok: false, why: `${reference}: this user may not read the file` };
    if (code === 'EISDIR') return { ok: false, why: `${reference}: it is a folder` };
    throw cause;
  }
}

/** The value, or an error that names the reference. */
export function secretOrThrow(
  reference: SecretReference,
  folder: string,
  env: NodeJS.ProcessEnv = process.env,
): string {
  const resolved = resolveSecret(reference, folder, env);
  if (!resolved.ok) throw new Error(`A secret cannot be read: ${resolved.why}`);
  return resolved.value;
}
