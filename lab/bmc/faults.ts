/**
 * What can be wrong with a BMC of the lab. Settable while it runs; several at once.
 *
 * The faults that a BMC must know of are words in its file `faults`, one a line, read anew at every request.
 */
export type BmcFault =
  /** Answers "ok" to every power command and does nothing. */
  | { readonly kind: 'lying' }
  /** Says this power state, whatever the truth. With `lying`: a BMC that "has cut" a host that runs on. */
  | { readonly kind: 'power-reads'; readonly power: 'on' | 'off' }
  /** Every answer comes this much later. */
  | { readonly kind: 'slow'; readonly seconds: number }
  /** Knows another password from now on. */
  | { readonly kind: 'refuse-login' }
  /** Redfish only: takes the connection and the request, and never answers. */
  | { readonly kind: 'frozen' }
  /** The process is stopped: nothing answers, not even a "refused". */
  | { readonly kind: 'silent' }
  /** The process is ended: the port is closed. */
  | { readonly kind: 'gone' };

export type BmcKind = 'ipmi' | 'redfish';

/** The lines of the file. `silent` and `gone` are done to the process, not told to it. */
export function faultWords(faults: readonly BmcFault[]): string {
  const words = faults.flatMap((fault) => {
    switch (fault.kind) {
      case 'power-reads':
        return [`power-reads=${fault.power}`];
      case 'slow':
        return [`slow=${fault.seconds}`];
      case 'silent':
      case 'gone':
        return [];
      default:
        return [fault.kind];
    }
  });
  return words.map((word) => `${word}\n`).join('');
}

export interface ToldFaults {
  readonly lying: boolean;
  readonly refuseLogin: boolean;
  readonly frozen: boolean;
  readonly slowMs: number;
  readonly powerReads: 'on' | 'off' | undefined;
}

export function readFaultWords(text: string): ToldFaults {
  const words = text.split(/\s+/);
  const valueOf = (name: string): string | undefined =>
    words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  const power = valueOf('power-reads');
  return {
    lying: words.includes('lying'),
    refuseLogin: words.includes('refuse-login'),
    frozen: words.includes('frozen'),
    slowMs: Number(valueOf('slow') ?? 0) * 1000,
    powerReads: power === 'on' || power === 'off' ? power : undefined,
  };
}
