/**
 * A virsh that stays, for what is read of a whole host again and again: starting one costs 19 ms of CPU, asking one that is there a few.
 *
 * INVARIANT: it only ever says what a fresh child would have said as well: every command answered, nothing on standard error, within a moment, and all
 * of it asked for just now. In every other case it is ended and says nothing, so that a fresh child tells what is the matter. It is read-only.
 */
import { randomBytes } from 'node:crypto';
import type { ChildTalk } from '../child-processes';
import type { FollowedHost } from './follow';
import { keepalive, sectionsOf } from './virsh';

/** Six times what a host with 100 VMs takes: a fresh child loses no more time than this. */
const momentMs = 300;
/** Each is ended after so long: whatever it has come to hold goes with it. */
const turnMs = 600_000;
/** After one that never answered as it should: a virsh that speaks otherwise must not be started again and again in vain. */
const vainPauseMs = 300_000;

interface Open {
  readonly talk: ChildTalk;
  readonly end: AbortController;
  /** It has connected, or failed to: it waits to be told something. */
  ready: boolean;
  /** It has answered once. */
  served: boolean;
  out: string;
  err: string;
  /** Looks at what has come; set while somebody asks. */
  look: (() => void) | undefined;
}

export class VirshSession {
  private open: Open | undefined;
  private notBeforeMs = 0;

  /** @param over Aborted when the driver is closed. */
  constructor(
    private readonly host: FollowedHost,
    private readonly over: AbortSignal,
  ) {}

  /** To be called when a fresh child has just answered well: none is kept for a host that does not answer. */
  begin(): void {
    if (this.open !== undefined || this.over.aborted || performance.now() < this.notBeforeMs) return;
    const { gateway, program, uri } = this.host;
    const args = ['-q', '-r', ...keepalive, '-c', uri];
    const request = { command: program, args, env: { TERM: 'dumb' }, deadlineMs: turnMs };
    const end = new AbortController();
    const heard = (text: string, to: 'out' | 'err'): void => {
      mine[to] += text;
      if (to === 'out') mine.ready = true;
      if (mine.look !== undefined) mine.look();
      // Unasked it complains of one thing only: its connection is lost.
      else if (to === 'err') this.drop(mine);
    };
    const talk = gateway.talk(request, heard, AbortSignal.any([this.over, end.signal]));
    const mine: Open = { talk, end, ready: false, served: false, out: '', err: '', look: undefined };
    this.open = mine;
    void talk.ended.then(() => this.drop(mine));
  }

  /** One section of output for each command; undefined when a fresh child is to be asked. One question at a time. */
  async ask(commands: readonly string[], signal: AbortSignal): Promise<readonly string[] | undefined> {
    const { open } = this;
    if (open?.ready !== true || open.look !== undefined || signal.aborted) return undefined;
    const word = randomBytes(6).toString('hex');
    const mark = `@@${word}@@`;
    // virsh repeats what it is told before it answers: written in two pieces, the mark is in its answers alone.
    const say = `echo "@@"${word}@@`;
    const script = [say, ...commands.flatMap((c) => [c, say]), `echo --err "@@"${word}@@`].join('; ');
    open.out = '';
    open.err = '';
    const answer = await new Promise<readonly string[] | undefined>((resolve) => {
      const done = (sections: readonly string[] | undefined): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', giveUp);
        open.look = undefined;
        resolve(sections);
      };
      const giveUp = (): void => done(undefined);
      const timer = setTimeout(giveUp, momentMs);
      signal.addEventListener('abort', giveUp, { once: true });
      open.look = (): void => {
        if (this.open !== open) return giveUp();
        const pieces = open.out.split(mark);
        if (!open.err.includes(mark) || pieces.length < commands.length + 2) return;
        // virsh 9 puts a word before whatever it is told to say there.
        const isClean = open.err.trim().replace(/^error: /, '') === mark;
        done(isClean ? sectionsOf(pieces.slice(1, -1)) : undefined);
      };
      open.talk.write(`${script}\n`);
    });
    // What was not answered as it should be may still come, and would be taken for the answer to something else.
    if (answer === undefined) this.drop(open);
    else open.served = true;
    return answer;
  }

  private drop(open: Open): void {
    if (this.open === open) {
      this.open = undefined;
      if (!open.served) this.notBeforeMs = performance.now() + vainPauseMs;
    }
    open.end.abort();
    open.look?.();
  }
}
