import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Derivation,
  derivationHash,
  derivationPath,
  type FixedHash,
  printDerivation,
  withOutputPaths,
} from "./derivation.ts";
import { parseDerivation } from "./parse-derivation.ts";

const nix = "/nix/store";

function derivation(
  outputs: Readonly<Record<string, FixedHash | undefined>>,
  environment: Readonly<Record<string, string>>,
  inputs: Readonly<Record<string, readonly string[]>> = {},
): Derivation {
  const entries = Object.entries(outputs).map(
    ([name, fixed]) => [name, { path: "", ...(fixed && { fixed }) }] as const,
  );
  return {
    outputs: new Map(entries),
    inputDerivations: new Map(Object.entries(inputs)),
    inputSources: [],
    system: ":",
    builder: ":",
    arguments: [],
    environment: new Map(Object.entries({ builder: ":", system: ":", ...environment })),
  };
}

const digest = "08813cbee9903c62be4c5027726a418a300da4500b2d369d3af9286f4815ceba";
const none = () => assert.fail("it has no inputs");
const fixed = { recursive: true, algorithm: "sha256", digest };
const bar = withOutputPaths(
  "bar",
  derivation(
    { out: fixed },
    { name: "bar", outputHash: digest, outputHashAlgo: "sha256", outputHashMode: "recursive" },
  ),
  none,
  nix,
);
const barPath = `${nix}/0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar.drv`;
const barOut = `${nix}/4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar`;

test("a fixed output, and what depends on it, are named as Nix names them (vectors of go-nix)", () => {
  assert.equal(bar.outputs.get("out")!.path, barOut);
  assert.equal(derivationPath("bar", bar, nix), barPath);
  assert.equal(derivationHash(bar, none), "724f3e3634fce4cbbbd3483287b8798588e80280660b9a63fd13a1bc90485b33");
  const read = (path: string) => (path === barPath ? bar : assert.fail(path));
  const foo = withOutputPaths(
    "foo",
    derivation({ out: undefined }, { name: "foo", bar: barOut }, { [barPath]: ["out"] }),
    read,
    nix,
  );
  assert.equal(foo.outputs.get("out")!.path, `${nix}/5vyvcwah9l9kf07d52rcgdk70g2f4y13-foo`);
  assert.equal(derivationPath("foo", foo, nix), `${nix}/4wvvbi4jwn0prsdxb7vs673qa5h9gr7x-foo.drv`);
});

test("several outputs have paths of their own (vector of go-nix)", () => {
  const multi = withOutputPaths(
    "has-multi-out",
    derivation({ out: undefined, lib: undefined }, { name: "has-multi-out", outputs: "out lib" }),
    none,
    nix,
  );
  assert.equal(
    derivationPath("has-multi-out", multi, nix),
    `${nix}/h32dahq0bx5rp1krcdx3a53asj21jvhk-has-multi-out.drv`,
  );
  assert.equal(multi.outputs.get("out")!.path, `${nix}/55lwldka5nyxa08wnvlizyqw02ihy8ic-has-multi-out`);
  assert.equal(multi.outputs.get("lib")!.path, `${nix}/2vixb94v0hy2xc6p7mbnxxcyc095yyia-has-multi-out-lib`);
});

test("how a fixed output is fetched changes nothing downstream", () => {
  const other = withOutputPaths("bar", derivation({ out: fixed }, { name: "bar", mirror: "another" }), none, nix);
  const paths = new Map([
    [barPath, bar],
    ["/other.drv", other],
  ]);
  const read = (path: string) => paths.get(path)!;
  const out = (input: string) =>
    withOutputPaths("x", derivation({ out: undefined }, {}, { [input]: ["out"] }), read, nix).outputs.get("out")!.path;
  assert.equal(out(barPath), out("/other.drv"));
  assert.notEqual(derivationPath("bar", bar, nix), derivationPath("bar", other, nix));
  // Both at once are one input, whose outputs are united.
  const both = derivation({ out: undefined }, {}, { [barPath]: ["out"], "/other.drv": ["out"] });
  assert.equal(withOutputPaths("x", both, read, nix).outputs.get("out")!.path, out(barPath));
});

const word = fc.oneof(fc.string(), fc.constantFrom('"', "\\", "\n\r\t", "ü€😀", '")],['));
const anyDerivation = fc
  .record({
    outputs: fc.dictionary(
      word,
      fc.option(
        fc.record({ recursive: fc.boolean(), algorithm: fc.constantFrom("sha1", "sha256"), digest: fc.constant("00") }),
        { nil: undefined },
      ),
      { minKeys: 1 },
    ),
    environment: fc.dictionary(word, word),
    inputs: fc.dictionary(word, fc.uniqueArray(word)),
    words: fc.array(word),
    sources: fc.uniqueArray(word),
  })
  .map(({ outputs, environment, inputs, words, sources }) => ({
    ...derivation(outputs, environment, inputs),
    arguments: words,
    inputSources: sources,
  }));

test("what is printed is read back, and nothing else is", () => {
  fc.assert(
    fc.property(anyDerivation, fc.nat(), (one, cut) => {
      const text = printDerivation(one);
      assert.equal(printDerivation(parseDerivation(text)), text);
      const part = text.slice(0, cut % text.length);
      assert.throws(() => parseDerivation(part), { code: "bad-derivation" });
      assert.throws(() => parseDerivation(`${text} `), { code: "bad-derivation" });
    }),
  );
});

test("hostile texts are refused at their place", () => {
  const good = printDerivation(bar);
  const wrong = [
    "",
    "Derive(",
    good.replace("Derive", "derive"),
    good.replace(",[],", ", [],"),
    good.replace('("builder",":"),("name","bar")', '("name","bar"),("builder",":")'),
    good.replace('("builder",":"),', '("builder",":"),("builder",":"),'),
    good.replace('"bar"', '"b\\xr"'),
    good.replace('"bar"', '"b\nr"'),
    good.replace("r:sha256", "r:SHA!"),
    `Derive([]${good.slice(good.indexOf("],[]") + 1)}`,
  ];
  for (const text of wrong) assert.throws(() => parseDerivation(text), { code: "bad-derivation" }, text);
});
