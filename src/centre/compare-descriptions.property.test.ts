import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { canonicalJson } from "../base/canonical.ts";
import { sortedBy } from "../base/order.ts";
import { compareDescriptions } from "./compare-descriptions.ts";
import {
  describedLink,
  describedPackage,
  describedStoreFile,
  describedText,
  distinctive,
  hashedDescription,
} from "./system-description.testing.ts";
import type { DescribedFile, SystemDescription } from "./system-description.ts";
import { type Change, isEmptyDifference, type SystemDifference } from "./system-difference.ts";
import { unifiedDiff } from "./unified-diff.ts";

describe("any two systems", () => {
  const origin = fc.record({ by: fc.constantFrom("x", "y") });
  const few = <T>(item: fc.Arbitrary<T>, key: (item: T) => string) =>
    fc.uniqueArray(item, { maxLength: 5, selector: key }).map((items) => sortedBy(items, key));
  const aPackage = fc
    .tuple(fc.constantFrom("a", "b", "libc"), fc.constantFrom("1", "2", "1:0"), fc.constantFrom("root", "boot"))
    .map(([name, version, part]) => describedPackage(name, version, { part: part as "root" | "boot" }));
  const text = fc.array(fc.constantFrom("one\n", "two\n", "three\n"), { maxLength: 4 }).map((lines) => lines.join(""));
  const aFile: fc.Arbitrary<DescribedFile> = fc.oneof(
    fc
      .tuple(fc.constantFrom("/etc/a", "/etc/b", "/etc/c"), text, fc.constantFrom(0o644, 0o755))
      .map(([path, contents, mode]) => ({ ...describedText(path, contents), mode })),
    fc
      .tuple(fc.constantFrom("conf", "script"), text, fc.constantFrom("x", "y"))
      .map((given) => describedStoreFile(...given)),
    fc
      .tuple(fc.constantFrom("/etc/a", "/etc/l", "/etc/m"), text)
      .map(([path, contents]) => describedLink(path, describedStoreFile("conf", contents, "x").path, "x")),
  );
  const aUser = fc.record({
    name: fc.constantFrom("bob", "eve"),
    uid: fc.constantFrom(1000, 1001),
    group: fc.constant("users"),
    supplementaryGroups: fc.constantFrom([], ["adm"]),
    comment: fc.constant(""),
    home: fc.constant("/home"),
    createHome: fc.boolean(),
    shell: fc.constant("/bin/sh"),
    password: fc.constantFrom("locked", "none"),
    system: fc.boolean(),
    origin,
  });
  const description = fc
    .record({
      hostName: fc.constantFrom("a", "b"),
      packages: few(aPackage, ({ name, part }) => `${name} ${part}`),
      files: few(aFile, ({ path }) => path),
      users: few(aUser, ({ name }) => name),
      groups: few(
        fc.record({ name: fc.constantFrom("g", "h"), gid: fc.nat(2), system: fc.boolean(), origin }),
        (one) => one.name,
      ),
      units: few(
        fc.record({
          name: fc.constantFrom("a.service", "b.timer"),
          state: fc.constantFrom("enabled" as const, "masked" as const),
          origins: fc.constant([{ by: "x" }]),
        }),
        ({ name }) => name,
      ),
      // In the one order that a system has them in.
      checks: fc
        .array(
          fc.record({
            kind: fc.constant("unit-active" as const),
            name: fc.constant("is active"),
            service: fc.constantFrom("x", "y"),
            unit: fc.constantFrom("a.service", "b.service"),
          }),
          { maxLength: 3 },
        )
        .map((some) => sortedBy(some, canonicalJson)),
      wishes: few(fc.record({ name: fc.constantFrom("a", "b", "c"), origins: fc.constant([]) }), ({ name }) => name),
      sourcePackages: few(
        fc.record({
          name: fc.constantFrom("p", "q"),
          version: fc.constantFrom("1", "2"),
          output: fc.constantFrom("/meso/store/a-p", "/meso/store/b-p"),
          replaces: fc.subarray(["libp", "libq"]),
        }),
        ({ name }) => name,
      ),
      accountNumbers: fc.dictionary(fc.constantFrom("svc"), fc.nat(3)),
      alternatives: fc.dictionary(fc.constantFrom("editor", "pager"), fc.constantFrom("/a", "/b")),
      kernel: fc.record({
        package: fc.constantFrom("k1", "k2"),
        arguments: fc.array(fc.constantFrom("quiet", "ro"), { maxLength: 2 }),
        initrdModules: fc.constant([]),
      }),
    })
    .map(hashedDescription);

  const applied = <T>(items: readonly T[], changes: readonly Change<T>[]): T[] => {
    const left = items.map((item) => canonicalJson(distinctive(item)));
    for (const { before } of changes) {
      if (before === undefined) continue;
      const at = left.indexOf(canonicalJson(distinctive(before)));
      assert.ok(at >= 0, "what went, or was another, was there");
      left.splice(at, 1);
    }
    const came = changes.flatMap(({ after }) => (after === undefined ? [] : [canonicalJson(distinctive(after))]));
    return [...left, ...came].sort().map((one) => JSON.parse(one) as T);
  };
  const same = <T>(name: string, before: readonly T[], after: readonly T[], changes: readonly Change<T>[]) => {
    const expected = after.map((one) => canonicalJson(distinctive(one))).sort();
    assert.deepEqual(
      applied(before, changes).map((one) => canonicalJson(one)),
      expected,
      name,
    );
  };
  const lists = ["packages", "users", "groups", "units", "checks"] as const;

  /** Differs from `one` in a single field: what is not looked at would not be missed among other changes. */
  const nearTo = (one: SystemDescription, other: SystemDescription, field: keyof SystemDescription) =>
    hashedDescription({ ...one, [field]: other[field] });
  const fields = [
    "kernel",
    "hostName",
    "accountNumbers",
    "alternatives",
    "checks",
    "wishes",
    "sourcePackages",
    ...lists,
  ] as const;
  const pair = fc.oneof(
    fc.tuple(description, description),
    fc
      .tuple(description, description, fc.constantFrom(...fields))
      .map(([one, other, field]) => [one, nearTo(one, other, field)]),
  );

  it("what is told makes the second of the first", () => {
    fc.assert(
      fc.property(pair, ([before, after]) => {
        assert.ok(before && after);
        const difference: SystemDifference = compareDescriptions(before, after);
        for (const list of lists) {
          same<unknown>(list, before[list], after[list], difference[list]);
        }
        same(
          "files",
          before.files,
          after.files,
          difference.files.flatMap((one) => [one, ...one.links]),
        );
        const wishes = [before, after].map((one) => one.wishes.map(({ name }) => name)) as [string[], string[]];
        same("wishes", ...wishes, difference.wishes);
        assert.deepEqual(difference.kernelArguments?.after ?? before.kernel.arguments, after.kernel.arguments);
        for (const { patch, before: was, after: is } of difference.files) {
          if (patch === undefined) continue;
          const texts = [was, is].map((file) => (file?.kind === "file" ? file.text! : ""));
          assert.equal(patch, unifiedDiff(texts[0]!, texts[1]!));
        }
        assert.equal(isEmptyDifference(difference), before.systemHash === after.systemHash);
        const back = compareDescriptions(after, before);
        for (const list of lists) assert.equal(back[list].length, difference[list].length);
        assert.equal(back.settings.length, difference.settings.length);
      }),
      { numRuns: 2000 },
    );
  });

  it("nothing is told between two of one hash, wherever they are written", () => {
    fc.assert(
      fc.property(description, (system) => {
        const elsewhere = {
          ...system,
          files: system.files.map((file) => ({ ...file, origin: { by: "elsewhere" } })),
          services: [{ by: "elsewhere" }],
        };
        const difference = compareDescriptions(system, elsewhere);
        assert.ok(isEmptyDifference(difference) && difference.services.length === 0);
      }),
    );
  });
});
