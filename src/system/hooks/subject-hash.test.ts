import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { MesoError } from "../../base/error.ts";
import { subjectHash } from "./subject-hash.ts";

describe("the subject hash of a certificate", () => {
  it("is what openssl says, for subjects of every kind", () => {
    const folder = mkdtempSync(join(tmpdir(), "subject-"));
    try {
      const file = join(folder, "a.pem");
      for (const subject of [
        "/CN=plain",
        "/C=FR/O=  Two   Spaces  and CAPITALS /CN=x",
        "/O=É́cole Ünï/CN=日本 Root",
        "/C=DE/CN=a+OU=b/emailAddress=Root@Example.ORG",
        `/CN=${"long ".repeat(12)}`,
        "/DC=org/DC=Example/serialNumber=12 34/CN=\u{1f600}",
        "/",
      ]) {
        const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", join(folder, "k")];
        const request = ["req", "-x509", "-utf8", "-multivalue-rdn", "-subj", subject, ...key, "-out", file];
        execFileSync("openssl", request, { stdio: "ignore" });
        const expected = execFileSync("openssl", ["x509", "-noout", "-subject_hash", "-in", file], {
          encoding: "utf8",
        });
        assert.equal(subjectHash(readFileSync(file, "latin1"), "a.pem"), expected.trim(), subject);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("refuses what is no certificate", () => {
    for (const text of ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\0\xff"]) {
      assert.throws(
        () => subjectHash(text, "bad.crt"),
        (error) => error instanceof MesoError && /bad\.crt/.test(error.message),
      );
    }
  });
});
