/** A row of the fault table; what the classes mean is said there. */
export type FaultClass = 'transient' | 'permanent' | 'outcome-unknown';

export interface FaultRule {
  readonly class: FaultClass;
  /** `{name}` is filled from the fault's facts. */
  readonly sentence: string;
  readonly next: string;
}
