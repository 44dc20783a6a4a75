import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MesoError } from "../base/error.ts";
import type { InventedPackage } from "./package-index-fixture.testing.ts";
import { inventedIndex, inventedSource, inventedText } from "./package-index-fixture.testing.ts";
import type { RequestedPackage, ResolveRequest } from "./resolve.ts";
import { resolve } from "./resolve.ts";

type Options = Omit<Partial<ResolveRequest>, "install">;

/** The names that a request gives, sorted, joined by spaces; foreign ones with their architecture. */
async function namesFor(
  packages: readonly InventedPackage[],
  install: readonly (string | RequestedPackage)[],
  options: Options = {},
): Promise<string> {
  using index = await inventedIndex(packages);
  const wanted = install.map((one) => (typeof one === "string" ? { name: one } : one));
  return resolve(index, { architecture: "amd64", ...options, install: wanted })
    .packages.map(({ name, architecture }) => (architecture === "i386" ? `${name}:i386` : name))
    .join(" ");
}

async function problemFor(packages: readonly InventedPackage[], install: string[], options: Options = {}) {
  try {
    return assert.fail(`resolved to ${await namesFor(packages, install, options)}`);
  } catch (error) {
    assert.ok(error instanceof MesoError, String(error));
    return { code: error.code, message: error.message };
  }
}

test("dependencies, alternatives, essential packages and cycles", async () => {
  const packages: InventedPackage[] = [
    { Package: "a", Depends: "b | c, d", "Pre-Depends": "e" },
    { Package: "b", Depends: "a" },
    { Package: "c" },
    { Package: "d", Depends: "b, d" },
    { Package: "e" },
    { Package: "base", Essential: "yes", Depends: "libbase" },
    { Package: "libbase" },
  ];
  assert.equal(await namesFor(packages, ["a"]), "a b base d e libbase");
  assert.equal(await namesFor(packages, ["base"]), "base libbase", "asked for and essential: once");
  assert.equal(await namesFor(packages, ["a", "c"], { includeEssential: false }), "a b c d e");
  assert.equal(await namesFor(packages, []), "base libbase");
});

test("an alternative that is requested, or there already, is not added to", async () => {
  const packages: InventedPackage[] = [
    { Package: "a", Depends: "first | second" },
    { Package: "first" },
    { Package: "second" },
    { Package: "z", Depends: "second" },
  ];
  assert.equal(await namesFor(packages, ["a", "second"]), "a second");
  assert.equal(await namesFor(packages, ["a", "z"]), "a first second z", "a comes before z needs the second");
});

test("everything that is said of a package", async () => {
  using index = await inventedIndex([
    { Package: "a", Version: "1:2-3", Depends: "b (>= 1), v", Size: "7", "Installed-Size": "5" },
    { Package: "b", Provides: "v" },
  ]);
  const [a, b] = resolve(index, { architecture: "amd64", install: [{ name: "a" }] }).packages;
  assert.deepEqual(
    { ...a, sha256: "", source: "" },
    {
      name: "a",
      version: "1:2-3",
      architecture: "amd64",
      sha256: "",
      size: 7,
      installedSize: 5120,
      filename: "pool/a_1:2-3_amd64.deb",
      archive: "main",
      source: "",
      essential: false,
      depends: ["b"],
      reason: { kind: "requested" },
    },
  );
  assert.deepEqual(b!.reason, { kind: "dependency", by: "a", field: "Depends", relation: "b (>= 1)" });
});

test("candidates: the highest version of all suites, unless a suite or a version is asked for", async () => {
  const backports = {
    ...inventedSource(inventedText([{ Package: "a", Version: "3" }]), "s-backports"),
    notAutomatic: true,
  };
  using index = await inventedIndex({
    texts: [
      inventedSource(inventedText([{ Package: "a", Version: "1" }]), "s"),
      inventedSource(inventedText([{ Package: "a", Version: "2" }]), "s-security"),
      backports,
    ],
  });
  const chosen = (request: Omit<RequestedPackage, "name">) => {
    const [a] = resolve(index, { architecture: "amd64", install: [{ name: "a", ...request }] }).packages;
    return [a!.version, a!.source.suite, a!.archive];
  };
  assert.deepEqual(chosen({}), ["2", "s-security", "security"]);
  assert.deepEqual(chosen({ from: "s" }), ["1", "s", "main"]);
  assert.deepEqual(chosen({ from: "s-backports" }), ["3", "s-backports", "main"]);
  assert.deepEqual(chosen({ constraint: { operator: "<<", version: "2" } }), ["1", "s", "main"]);
  assert.throws(() => chosen({ constraint: { operator: ">>", version: "2" } }), {
    code: "no-candidate",
    message: /a \(>> 2\) is not to be had.*\n.*3 \(amd64, s-backports\), 2 \(amd64, s-security\), 1/,
  });
  assert.throws(() => chosen({ from: "elsewhere" }), { code: "no-candidate" });
});

test("virtual packages, preferences and exclusions", async () => {
  const packages: InventedPackage[] = [
    { Package: "a", Depends: "mta" },
    { Package: "needs-version", Depends: "mta (>= 2)" },
    { Package: "exim", Provides: "mta", Conflicts: "mta" },
    { Package: "postfix", Provides: "mta (= 2)", Conflicts: "mta" },
    { Package: "init", Depends: "usrmerge | usr-is-merged" },
    { Package: "usrmerge" },
    { Package: "usr-is-merged" },
    { Package: "sole", Provides: "only-one" },
  ];
  assert.equal(await namesFor(packages, ["a"], { prefer: { mta: "exim" } }), "a exim");
  assert.equal(await namesFor(packages, ["a"], { prefer: { mta: "postfix" } }), "a postfix");
  assert.equal(await namesFor(packages, ["a"], { exclude: ["postfix"] }), "a exim");
  assert.equal(await namesFor(packages, ["a", "needs-version"]), "a needs-version postfix");
  assert.equal(await namesFor(packages, ["init"]), "init usrmerge");
  assert.equal(await namesFor(packages, ["init"], { prefer: { usrmerge: "usr-is-merged" } }), "init usr-is-merged");
  assert.equal(await namesFor(packages, ["only-one"]), "sole");
  assert.equal(await namesFor(packages, ["mta"], { prefer: { mta: "exim" } }), "exim");
  assert.equal((await problemFor(packages, ["mta"])).code, "ambiguous-package");
  assert.equal((await problemFor(packages, ["usrmerge"], { exclude: ["usrmerge"] })).code, "no-candidate");
  assert.equal((await problemFor(packages, ["exim", "postfix"])).code, "unsatisfiable");
});

test("goes back to an earlier choice when a later need is in conflict with it", async () => {
  const packages: InventedPackage[] = [
    { Package: "a", Depends: "first | second, middle | other, last" },
    { Package: "first" },
    { Package: "second" },
    { Package: "middle" },
    { Package: "other" },
    { Package: "last", Depends: "deep" },
    { Package: "deep", Breaks: "first (<< 2)" },
    { Package: "b", Depends: "missing | broken | second" },
    { Package: "broken", Depends: "missing" },
  ];
  assert.equal(await namesFor(packages, ["a"]), "a deep last middle second");
  assert.equal(await namesFor(packages, ["b"]), "b second", "an alternative that cannot be completed is passed over");
});

test("what made a rejected or failed option fail is remembered when the others fail for good", async () => {
  const packages: InventedPackage[] = [
    { Package: "failed", Depends: "first | second, choice-a | choice-b" },
    { Package: "rejected", Depends: "first | second, refuser | choice-b | choice-c" },
    { Package: "forced", Depends: "first | second, refuser | absent, more" },
    { Package: "first" },
    { Package: "second" },
    { Package: "choice-a", Depends: "refuser" },
    { Package: "choice-b", Depends: "absent" },
    { Package: "choice-c", Depends: "absent" },
    { Package: "refuser", Conflicts: "first" },
    { Package: "more", Depends: "choice-b | choice-a" },
  ];
  assert.equal(await namesFor(packages, ["failed"]), "choice-a failed refuser second");
  assert.equal(await namesFor(packages, ["rejected"]), "refuser rejected second");
  assert.equal(await namesFor(packages, ["forced"]), "choice-a forced more refuser second");
});

test("Recommends are taken when asked for and possible, and never stand in the way", async () => {
  const packages: InventedPackage[] = [
    { Package: "a", Recommends: "good, absent, broken, hostile", Depends: "need" },
    { Package: "good", Recommends: "better" },
    { Package: "better" },
    { Package: "broken", Depends: "absent" },
    { Package: "hostile", Conflicts: "need" },
    { Package: "need" },
  ];
  assert.equal(await namesFor(packages, ["a"]), "a need");
  assert.equal(await namesFor(packages, ["a"], { includeRecommends: true }), "a better good need");
  assert.equal(await namesFor(packages, ["a"], { includeRecommends: ["a"] }), "a good need");
  assert.equal(await namesFor(packages, ["a"], { includeRecommends: ["good"] }), "a need");
});

test("several architectures", async () => {
  const packages: InventedPackage[] = [
    { Package: "lib", "Multi-Arch": "same" },
    { Package: "lib", "Multi-Arch": "same", Architecture: "i386" },
    { Package: "uneven", "Multi-Arch": "same" },
    { Package: "uneven", "Multi-Arch": "same", Architecture: "i386", Version: "2" },
    { Package: "tool", Architecture: "i386", "Multi-Arch": "foreign", Depends: "lib" },
    { Package: "app", Depends: "lib, tool" },
    { Package: "pair", Depends: "uneven, uneven:i386" },
  ];
  const options = { foreignArchitectures: ["i386"] };
  assert.equal(await namesFor(packages, ["app"], options), "app lib lib:i386 tool:i386");
  assert.equal(await namesFor(packages, ["tool"], options), "lib:i386 tool:i386");
  assert.equal(await namesFor(packages, [{ name: "lib", architecture: "i386" }], options), "lib:i386");
  assert.equal((await problemFor(packages, ["pair"], options)).code, "unsatisfiable");
  assert.equal((await problemFor(packages, ["app"])).code, "unsatisfiable");
});

test("errors tell the chain of needs, and what to write instead", async () => {
  const packages: InventedPackage[] = [
    { Package: "slurmd", Depends: "slurm-core | slurm-old" },
    { Package: "slurm-core", Depends: "libpmix (>= 5)" },
    { Package: "libpmix", Version: "4.2" },
    { Package: "x", Depends: "y" },
    { Package: "y", Conflicts: "z" },
    { Package: "z" },
  ];
  assert.deepEqual(await problemFor(packages, ["slurmd"]), {
    code: "unsatisfiable",
    message:
      "slurmd is requested, slurmd needs slurm-core | slurm-old, slurm-core needs libpmix (>= 5), and libpmix is 4.2 (invented)\n" +
      "  hint: leave out a package of this chain, or choose another alternative with `prefer`",
  });
  const { message } = await problemFor(packages, ["z", "x"]);
  assert.match(
    message,
    /^x is requested, x needs y, and y cannot be taken: y conflicts with z 1 \(amd64\) \(z is requested\)/,
  );
  assert.deepEqual(await problemFor(packages, ["slurmf", "slurm-cor"]), {
    code: "unknown-package",
    message:
      'there is no package "slurm-cor" in invented\n  hint: did you mean slurm-core?\n' +
      'there is no package "slurmf" in invented\n  hint: did you mean slurmd?',
  });
});

test("an index made to be hard ends in an error, not in an endless search", async () => {
  // n+1 pigeons, n holes: no search without counting is quick.
  const holes = 9;
  const packages: InventedPackage[] = [];
  for (let pigeon = 0; pigeon <= holes; pigeon++) {
    const places = Array.from({ length: holes }, (_, hole) => `p${pigeon}h${hole}`);
    packages.push({ Package: `pigeon${pigeon}`, Depends: places.join(" | ") });
    for (const [hole, place] of places.entries()) {
      packages.push({ Package: place, Provides: `hole${hole}`, Conflicts: `hole${hole}` });
    }
  }
  const wanted = Array.from({ length: holes + 1 }, (_, pigeon) => `pigeon${pigeon}`);
  const { code } = await problemFor(packages, wanted);
  assert.ok(code === "resolution-too-hard" || code === "unsatisfiable", code);
});

test("long chains do not exhaust the stack", async () => {
  const length = 3000;
  const chain: InventedPackage[] = Array.from({ length }, (_, i) => ({
    Package: `p${i}`,
    ...(i + 1 < length && { Depends: `p${i + 1} | q`, Recommends: `p${i + 1}` }),
  }));
  const names = await namesFor([...chain, { Package: "q" }], ["p0"], { includeRecommends: true });
  assert.equal(names.split(" ").length, length);
});

/** Small worlds, dense in alternatives, conflicts and virtual names. */
const letters = ["a", "b", "c", "d", "e", "f", "g"];
const anyName = fc.constantFrom(...letters, "v", "w");
const anyRelation = fc
  .tuple(anyName, fc.constantFrom("", "", "", " (>= 2)", " (<< 2)", " (= 1)"))
  .map(([name, version]) => name + version);
const anyGroups = fc.array(fc.array(anyRelation, { minLength: 1, maxLength: 3 }), { maxLength: 2 });
const anyWorld = fc.tuple(
  ...letters.map((name) =>
    fc.record({
      name: fc.constant(name),
      version: fc.constantFrom("1", "2"),
      depends: anyGroups,
      conflicts: fc.array(anyRelation, { maxLength: 2 }),
      provides: fc.array(fc.constantFrom("v", "w", "v (= 2)"), { maxLength: 1 }),
    }),
  ),
);
type Invented = typeof anyWorld extends fc.Arbitrary<(infer One)[]> ? One : never;

test("finds a set whenever there is one, the set is sound, and the order of the request means nothing", async () => {
  const seen = { solved: 0, unsatisfiable: 0 };
  await fc.assert(
    fc.asyncProperty(anyWorld, fc.shuffledSubarray(letters, { minLength: 1, maxLength: 3 }), async (world, wanted) => {
      const possible = subsets(world).some((set) => isSound(set, wanted));
      const ask = (names: string[]) => namesFor(world.map(toStanza), names);
      if (!possible) {
        seen.unsatisfiable++;
        await assert.rejects(ask(wanted), { code: "unsatisfiable" });
        return;
      }
      seen.solved++;
      const names = await ask(wanted);
      assert.ok(
        isSound(
          world.filter(({ name }) => names.split(" ").includes(name)),
          wanted,
        ),
        names,
      );
      assert.equal(await ask([...wanted].reverse()), names);
    }),
    { numRuns: 300 },
  );
  assert.ok(seen.solved > 20 && seen.unsatisfiable > 20, JSON.stringify(seen));
});

function toStanza({ name, version, depends, conflicts, provides }: Invented): InventedPackage {
  return {
    Package: name,
    Version: version,
    ...(depends.length > 0 && { Depends: depends.map((group) => group.join(" | ")).join(", ") }),
    ...(conflicts.length > 0 && { Conflicts: conflicts.join(", ") }),
    ...(provides.length > 0 && { Provides: provides.join(", ") }),
  };
}

/** Written without the resolver's own code: versions are "1" and "2", so that their order is that of strings. */
function isSound(set: readonly Invented[], wanted: readonly string[]): boolean {
  const answers = (one: Invented, relation: string) => {
    const [, name, operator, version] = /^(\w)(?: \((\S+) (\S)\))?$/.exec(relation)!;
    const offers = [[one.name, one.version], ...one.provides.map((text) => [text[0], /= (.)/.exec(text)?.[1]])];
    return offers.some(([offered, at]) => {
      if (offered !== name) return false;
      if (operator === undefined) return true;
      if (at === undefined) return false;
      return operator === ">=" ? at >= version! : operator === "<<" ? at < version! : at === version;
    });
  };
  return (
    wanted.every((name) => set.some((one) => one.name === name)) &&
    set.every(
      (one) =>
        one.depends.every((group) => group.some((relation) => set.some((other) => answers(other, relation)))) &&
        one.conflicts.every((relation) => !set.some((other) => other !== one && answers(other, relation))),
    )
  );
}

function subsets<T>(items: readonly T[]): T[][] {
  return Array.from({ length: 2 ** items.length }, (_, bits) => items.filter((_, i) => bits & (1 << i)));
}
