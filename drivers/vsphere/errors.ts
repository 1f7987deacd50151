/** What a call to a vCenter can end with. Nothing here is decided by a message: those are localised, or empty. */
import { child, type MoRef, refOf, textAt, type XmlNode } from './xml';

/** The server said so, by type. */
export class VimFault extends Error {
  override readonly name = 'VimFault';

  constructor(
    /** For instance `NoPermission`. */
    readonly type: string,
    readonly method: string,
    readonly detail: XmlNode | undefined,
  ) {
    super(`${method} ended with ${type}`);
  }

  /** Whom the fault speaks of. That a Task is gone says nothing about its VM. */
  get about(): MoRef | undefined {
    return refOf(child(this.detail, 'obj')) ?? refOf(child(this.detail, 'object'));
  }

  get privilege(): string | undefined {
    return textAt(this.detail, 'privilegeId');
  }

  get file(): string | undefined {
    return textAt(this.detail, 'file') ?? textAt(this.detail, 'name');
  }
}

/** No answer that could be believed. Unless `sent` is false, the call may have been carried out. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';

  constructor(
    readonly method: string,
    readonly sent: boolean,
    readonly why: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(`${method} was ${sent ? 'not answered' : 'not sent'}: ${why}`, options);
  }
}

/** The certificate is not the one expected. Nothing was sent, not even a user name. */
export class NotTrusted extends NoAnswer {
  constructor(method: string, why: string, cause?: unknown) {
    super(method, false, why, { cause });
  }
}

/** Its own secret could not be read, so nothing was sent. */
export class NoPassword extends NoAnswer {
  constructor(cause: unknown) {
    super('Login', false, cause instanceof Error ? cause.message : 'it cannot be read', { cause });
  }
}

/** What was asked for and withheld. It is how an expired session shows on reads: an answer without values. */
export class Withheld extends Error {
  override readonly name = 'Withheld';

  constructor(
    readonly method: string,
    readonly missing: readonly { readonly obj: MoRef; readonly path: string; readonly fault: string }[],
  ) {
    const named = missing.slice(0, 3).map((m) => `${m.path} of ${m.obj.value} (${m.fault})`);
    super(
      `${missing.length} properties were withheld: ${named.join(', ')}${missing.length > 3 ? ', ...' : ''}`,
    );
  }

  get expired(): boolean {
    return this.missing.some((m) => m.fault === 'NotAuthenticated');
  }

  get denied(): boolean {
    return this.missing.some((m) => m.fault === 'NoPermission');
  }
}

export const isVimError = (error: unknown): error is VimFault | NoAnswer | Withheld =>
  error instanceof VimFault || error instanceof NoAnswer || error instanceof Withheld;

export const isFault = (error: unknown, type: string): error is VimFault =>
  error instanceof VimFault && error.type === type;
