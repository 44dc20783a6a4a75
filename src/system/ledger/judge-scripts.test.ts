import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MesoError } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";
import { judgeScripts } from "./judge-scripts.ts";

const postinst = "#!/bin/sh\nset -e\nfrobnicate --all\n";
const unknown = { name: "frob", version: "1.2", controlFiles: { postinst, preinst: postinst }, entries: [] };
const word = { package: "frob", script: "postinst", reason: "read it" } as const;

describe("judging maintainer scripts", () => {
  it("refuses all unknown scripts at once, with what to write", () => {
    assert.throws(
      () => judgeScripts([unknown, { ...unknown, name: "other" }], []),
      (error) => {
        assert.ok(error instanceof MesoError);
        assert.equal(error.problems.length, 4);
        const [first] = error.problems;
        assert.equal(first?.code, "unknown-maintainer-script");
        assert.match(first?.what ?? "", /frob 1\.2: .*preinst.*frobnicate --all/);
        assert.match(first?.hint ?? "", /acknowledgedScripts/);
        return true;
      },
    );
  });

  it("accepts a word about any version, this script, or what is unexplained in it", () => {
    const one = { ...unknown, controlFiles: { postinst } };
    for (const digest of [undefined, sha256(postinst), sha256("frobnicate --all\n")]) {
      const [judged] = judgeScripts([one], [{ ...word, ...(digest === undefined ? {} : { sha256: digest }) }]);
      assert.deepEqual(judged?.acknowledged, [{ script: "postinst", by: "program", why: "read it" }]);
    }
    assert.throws(() => judgeScripts([one], [{ ...word, sha256: sha256("other") }]), MesoError);
    assert.throws(() => judgeScripts([one], [{ ...word, script: "preinst" }]), MesoError);
    assert.throws(() => judgeScripts([one], [{ ...word, package: "frobnicator" }]), MesoError);
  });
});
