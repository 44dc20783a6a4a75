/** What the emulated API answers instead of data. */
export class Refusal extends Error {
  readonly status: number;
  readonly errors: Readonly<Record<string, string>> | undefined;

  constructor(status: number, message: string, errors?: Readonly<Record<string, string>>) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

/** What a `die` of the real code becomes. */
export function died(message: string): Refusal {
  return new Refusal(500, `${message}\n`);
}

export function badParameters(errors: Readonly<Record<string, string>>): Refusal {
  return new Refusal(400, "Parameter verification failed.\n", errors);
}
