import { readFileSync } from "node:fs";
import type { Key } from "openpgp";
import { failure } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import type { Keyring } from "./mirror.ts";
import type { Release } from "./release.ts";
import { parseRelease } from "./release.ts";

export interface VerifiedRelease extends Release {
  /** SHA-256 of the text that was signed, without the signature, which may be renewed by itself. */
  readonly sha256: string;
}

export interface VerifyOptions {
  /** The time that signatures and `Valid-Until` are judged at. */
  readonly now: Date;
  /** The suite asked for: must be the release's Suite or Codename. */
  readonly suite?: string;
  /** For archives kept as of some day in the past. */
  readonly acceptExpired?: boolean;
}

/**
 * Verifies an `InRelease` file: clear-signed text (RFC 9580, section 7) with at least one good signature by
 * a key of the keyrings that was valid when it signed. Only what is signed is read.
 * @throws MesoError `bad-signature`, `malformed-release`, `wrong-suite`, `expired-index`, `no-keyring`.
 */
export async function verifyInRelease(
  inRelease: string,
  keyrings: readonly Keyring[],
  options: VerifyOptions,
): Promise<VerifiedRelease> {
  checkFrame(inRelease);
  const text = await signedText(inRelease, keyrings, options.now);
  const release = parseRelease(text);
  checkSuite(release, options.suite);
  checkDates(release, options);
  return { ...release, sha256: sha256(text) };
}

const frame = {
  message: "-----BEGIN PGP SIGNED MESSAGE-----",
  signature: "-----BEGIN PGP SIGNATURE-----",
  end: "-----END PGP SIGNATURE-----",
};

/**
 * One signed text and nothing else, judged before the library sees it: readers that skip text around the
 * signed part, or take a second message for the first, have let forged indices through in the past.
 */
function checkFrame(inRelease: string): void {
  const lines = inRelease.split("\n");
  while (lines.at(-1) === "") lines.pop();
  const marks = lines.flatMap((line, i) => (line.startsWith("-----") ? [{ line, i }] : []));
  const blank = lines.indexOf("");
  const headers = lines.slice(1, blank);
  const right =
    !/[\r\0]/.test(inRelease) &&
    marks.length === 3 &&
    marks[0]!.line === frame.message &&
    marks[0]!.i === 0 &&
    marks[1]!.line === frame.signature &&
    marks[2]!.line === frame.end &&
    marks[2]!.i === lines.length - 1 &&
    blank > 0 &&
    blank < marks[1]!.i &&
    headers.every((line) => /^Hash: [A-Za-z0-9, -]+$/.test(line));
  if (right) return;
  throw failure("bad-signature", "the InRelease file is not one clear-signed text and nothing else", {
    hint: "something between the archive and this machine answers in its place (a captive portal, a proxy), or the mirror is damaged",
  });
}

async function signedText(inRelease: string, keyrings: readonly Keyring[], now: Date): Promise<string> {
  // Loading takes longer than verifying, and most runs have a warm cache and never come here.
  const openpgp = await import("openpgp");
  const keys = (await Promise.all(keyrings.map((keyring) => readKeyring(keyring)))).flat();
  let reasons: string[];
  try {
    const message = await openpgp.readCleartextMessage({ cleartextMessage: inRelease });
    const result = await openpgp.verify({ message, verificationKeys: keys, date: now });
    const verdicts = result.signatures.map(({ keyID, verified }) =>
      verified.then(
        () => "",
        (error: Error) => `${keyID.toHex()}: ${error.message}`,
      ),
    );
    reasons = await Promise.all(verdicts);
    if (reasons.includes("")) return String(result.data);
  } catch (error) {
    reasons = [(error as Error).message];
  }
  throw failure("bad-signature", `no signature of the InRelease file is good (${reasons.join("; ") || "none there"})`, {
    expected: "a signature by a key of the archive keyring, made before now",
    hint: "if the suite is newer than this machine, update the package debian-archive-keyring or name a file of keys in MESO_DEBIAN_KEYRING; check this machine's clock; else the mirror is not to be trusted",
  });
}

async function readKeyring(keyring: Keyring): Promise<Key[]> {
  const { readKeys } = await import("openpgp");
  const name = "file" in keyring ? keyring.file : "the key block in apt's sources";
  try {
    const bytes = "file" in keyring ? readFileSync(keyring.file) : Buffer.from(keyring.armored);
    const armored = bytes.subarray(0, 512).includes("-----BEGIN PGP");
    return armored
      ? await readKeys({ armoredKeys: bytes.toString("latin1") })
      : await readKeys({ binaryKeys: new Uint8Array(bytes) });
  } catch (error) {
    throw failure("no-keyring", `${name} cannot be read as OpenPGP keys: ${(error as Error).message}`, {
      hint: "name a file of public keys, binary or armored, in MESO_DEBIAN_KEYRING",
    });
  }
}

function checkSuite(release: Release, suite: string | undefined): void {
  if (suite === undefined || suite === release.suite || suite === release.codename) return;
  throw failure("wrong-suite", `the mirror answers with suite ${release.suite} (${release.codename})`, {
    expected: suite,
    hint: "the mirror serves another release under this name: try another one through MESO_DEBIAN_MIRROR",
  });
}

/** Clocks of machines and archives differ a little; a day is what an archive's own schedule leaves. */
const toleratedSkewMilliseconds = 24 * 3600 * 1000;

function checkDates(release: Release, options: VerifyOptions): void {
  const { now } = options;
  if (release.date.getTime() > now.getTime() + toleratedSkewMilliseconds) {
    throw failure("index-from-future", `the index of ${release.codename} is dated ${release.date.toISOString()}`, {
      expected: `a date before now, ${now.toISOString()}`,
      hint: "set this machine's clock",
    });
  }
  if (options.acceptExpired || !release.validUntil || release.validUntil >= now) return;
  throw failure(
    "expired-index",
    `the index of ${release.codename}, made ${release.date.toISOString()}, was valid until ${release.validUntil.toISOString()}`,
    {
      expected: `an index still valid now, ${now.toISOString()}`,
      hint: "the mirror is out of date: try another one (MESO_DEBIAN_MIRROR, MESO_DEBIAN_SECURITY_MIRROR), or check this machine's clock",
    },
  );
}
