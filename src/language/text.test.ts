import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MesoError } from "../base/error.ts";
import { debian } from "./package-reference.ts";
import { bin, file, sbin, text, textFile } from "./text.ts";

/** The written text, with each reference in angle brackets. */
function shown(value: ReturnType<typeof text>): string {
  return value.parts
    .map((part) =>
      typeof part === "string" ? part : part.kind === "package-file" ? `<${part.path}>` : `<${part.name}>`,
    )
    .join("");
}

test("a template loses the indentation that its lines share", () => {
  const value = text`
    server {
      listen 80;

    }
  `;
  assert.equal(shown(value), "server {\n  listen 80;\n\n}\n");
});

test("a template on one line stays as it is", () => {
  assert.equal(shown(text`  a b  `), "  a b  ");
  assert.equal(shown(text``), "");
});

test("values of several lines are indented like the place where they stand", () => {
  const inner = text`
    one

      two
  `;
  const value = text`
    begin
      ${inner}
      ${["three", "four"]}
    end ${5}
  `;
  assert.equal(shown(value), "begin\n  one\n\n    two\n  three\n  four\nend 5\n");
});

test("a line of nothing but an empty value is left out", () => {
  const value = text`
    ${[]}
    a
      ${""}
      ${[]}
    b ${""}
    ${bin("p", "c")}${""}

    ${""}
  `;
  assert.equal(shown(value), "a\nb \n</usr/bin/c>\n\n");
});

test("references are kept as values, not as text", () => {
  const conf = textFile("chrony.conf", text`pool example\n`);
  const value = text`exec ${sbin(debian("chrony"), "chronyd")} -d -f ${conf}`;
  assert.deepEqual(value.parts, ["exec ", file("chrony", "/usr/sbin/chronyd"), " -d -f ", conf]);
  assert.deepEqual(text`${value}${bin("a", "b")}`.parts.length, 5);
});

test("a reference keeps what follows on its line", () => {
  const value = text`
    ${bin("a", "run")} --now
      ${bin("b", "run")}
    `;
  assert.equal(shown(value), "</usr/bin/run> --now\n  </usr/bin/run>\n");
});

test("what cannot be text is refused with its place", () => {
  const wrong: readonly unknown[] = [undefined, null, true, {}, () => "x", debian("htop"), Symbol("x")];
  for (const value of wrong) {
    assert.throws(
      () => text`a ${value as string} b`,
      (error: unknown) => {
        assert.ok(error instanceof MesoError, String(error));
        assert.equal(error.code, "not-text");
        assert.match(error.problems[0]?.where?.file ?? "", /text\.test\.ts$/);
        return true;
      },
    );
  }
  assert.throws(() => textFile("../x", "a"), { code: "wrong-name" });
  assert.throws(() => textFile("", "a"), { code: "wrong-name" });
  assert.throws(() => textFile("x", 3 as never), { code: "not-text" });
});

test("indenting a template further changes nothing", () => {
  const line = fc.stringMatching(/^ {0,3}[a-z]{1,4}$/);
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), fc.integer({ min: 0, max: 8 }), (lines, depth) => {
      const margin = " ".repeat(depth);
      const template = (margins: string) =>
        Object.assign([`\n${lines.map((content) => margins + content).join("\n")}\n${margins}`], { raw: [] });
      assert.deepEqual(text(template(margin) as never).parts, text(template("") as never).parts);
    }),
  );
});
