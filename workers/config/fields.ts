/** Fields that stand in several places of the config. */
import { z } from 'zod';
import { idRule, isId } from '../../domain/ids';
import { durationPattern } from './duration';

export const idText = z.string().refine(isId, { error: `an id ${idRule}` });

const durationRule = 'a duration is written with its unit: "500ms", "30s", "2m", "1h"';
export const duration = z
  .string({ error: durationRule })
  .regex(durationPattern, { error: durationRule })
  .meta({ description: 'A whole number and ms, s, m or h.' });

export const secretRule =
  'a secret is a reference, never the secret itself: write file:PATH (a file that only VMedic can read) or env:NAME';
export const secret = z
  .string({ error: secretRule })
  .regex(/^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$/, { error: secretRule })
  .meta({ description: 'file:PATH or env:NAME.' });
