import type { ByHand } from '../administration';
import { type Context, text } from './command';

export const byHand = (context: Context): ByHand => ({
  by: text(context, 'by'),
  reason: text(context, 'reason'),
  via: 'command-line',
});
