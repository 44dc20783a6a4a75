import type { TestEvent } from "node:test/reporters";

/** What is told of one test. */
interface TestOutcome {
  readonly file: string | undefined;
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly seconds: number;
  readonly error?: string;
}

/** A reporter for Node's test runner: one JSON document with each test's outcome, when all have ended. */
export default async function* jsonReporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const tests: TestOutcome[] = [];
  for await (const event of events) {
    if (event.type !== "test:pass" && event.type !== "test:fail") continue;
    const { name, file, details, skip } = event.data;
    // A file that is a test of its own only holds the others.
    if (file !== undefined && file === name) continue;
    const error = event.type === "test:fail" ? event.data.details.error : undefined;
    const cause = error?.cause instanceof Error ? error.cause.message : error?.message;
    tests.push({
      file,
      name,
      outcome: event.type === "test:fail" ? "failed" : skip !== undefined && skip !== false ? "skipped" : "passed",
      seconds: details.duration_ms / 1000,
      ...(cause !== undefined && { error: cause }),
    });
  }
  yield `${JSON.stringify({ tests }, undefined, 2)}\n`;
}
