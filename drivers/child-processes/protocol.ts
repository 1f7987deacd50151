/** What the gateway process and its parent say to each other over IPC. */

export interface ChildRequest {
  readonly command: string;
  readonly args: readonly string[];
  /** Written to the child's standard input, which is then closed. Secrets travel here, never in `args`. */
  readonly stdin?: string;
  /** Added to the environment of the gateway. */
  readonly env?: Readonly<Record<string, string>>;
  /** From the moment the child is started; waiting for a slot does not count. */
  readonly deadlineMs: number;
}

/** Of a child that stays: what it prints is handed over as it comes, its standard input stays open, and it takes nobody's slot. */
export type FollowRequest = Pick<ChildRequest, 'command' | 'args' | 'env' | 'deadlineMs'>;

/**
 * How a child ended. `not-started`: nothing was run, so nothing happened. `deadline`, `cancelled` and `lost` (the gateway died) say
 * nothing about what the child did before: for an act the outcome is unknown.
 */
export type ChildEnd =
  | {
      readonly ended: 'exit';
      readonly code: number;
      readonly stdout: string;
      readonly stderr: string;
      readonly tookMs: number;
    }
  | {
      readonly ended: 'deadline' | 'cancelled' | 'output-too-large';
      readonly stdout: string;
      readonly stderr: string;
    }
  | { readonly ended: 'lost' }
  | { readonly ended: 'not-started'; readonly why: string };

export type ToGateway =
  | {
      readonly kind: 'run';
      readonly id: number;
      readonly request: ChildRequest;
      /** It stays: what it prints is told by `printed`, and `write` speaks to it. */
      readonly stays?: true;
    }
  | { readonly kind: 'write'; readonly id: number; readonly text: string }
  | { readonly kind: 'cancel'; readonly id: number };

export type FromGateway =
  | { readonly kind: 'started'; readonly id: number; readonly pid: number }
  | { readonly kind: 'printed'; readonly id: number; readonly to: 'out' | 'err'; readonly text: string }
  | { readonly kind: 'ended'; readonly id: number; readonly end: ChildEnd };
