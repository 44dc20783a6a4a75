/** What is wrong with a value, without the place, which the one who asked knows. */
export interface Complaint {
  readonly code: string;
  readonly what: string;
  /** Path below the value that was looked at: `.port`, `[2].name`. */
  readonly field?: string;
  readonly expected?: string;
  readonly hint?: string;
}

/** Complaints about a value; none when it is right. Nested records are looked at by `recordProblems`. */
export type Check = (value: unknown) => readonly Complaint[];
