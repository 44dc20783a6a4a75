import type { SourceLocation } from "../base/location.ts";
import { locationOf } from "../language/record.ts";
import { originOf } from "./lower-package.ts";
import type { SourcePackage } from "./source-package.ts";

/** One thing about a package that people or tools will miss. */
export interface PackageFinding {
  readonly check: string;
  readonly severity: "error" | "warning" | "note";
  readonly package: string;
  readonly where?: SourceLocation;
  readonly what: string;
  readonly hint?: string;
}

/** What a package's record alone tells: nothing is fetched or built. */
export function lintPackage(pkg: SourcePackage): readonly PackageFinding[] {
  const where = locationOf(pkg);
  const found: Omit<PackageFinding, "package" | "where">[] = [];
  const add = (severity: PackageFinding["severity"], check: string, what: string, hint?: string) => {
    found.push({ severity, check, what, ...(hint !== undefined && { hint }) });
  };
  const { synopsis, licence, homePage, name } = pkg;
  if (synopsis === "") add("warning", "synopsis", "nothing says what it is", 'synopsis: "parser of JSON in C"');
  else {
    if (/\.$/.test(synopsis)) add("warning", "synopsis", "its synopsis ends with a full stop", "a phrase, no sentence");
    if (synopsis.length > 80)
      add("warning", "synopsis", `its synopsis has ${synopsis.length} characters`, "80 at most");
    if (new RegExp(`^(an? |the )?${name.replace(/[^a-z0-9]/g, ".")}\\b`, "i").test(synopsis)) {
      add("note", "synopsis", "its synopsis begins with its name");
    }
  }
  if (licence === "") add("warning", "licence", "nothing says under which licence it is", 'SPDX: "GPL-3.0-or-later"');
  else if (!isLicence(licence)) {
    add("warning", "licence", `${JSON.stringify(licence)} is no SPDX expression`, 'as in "MIT OR Apache-2.0"');
  }
  if (homePage === "") add("note", "home-page", "nothing says where it is from");
  else if (!URL.canParse(homePage)) add("error", "home-page", `${JSON.stringify(homePage)} is no address`);
  else if (homePage.startsWith("http:")) add("note", "home-page", "its home page is reached without encryption");
  if (!pkg.tests) add("warning", "tests", "its tests are not run", "leave out those that fail, and say why beside it");
  const origin = originOf(pkg);
  if (origin === undefined && pkg.buildSystem.name !== "trivial") add("note", "source", "it has no source");
  if (origin?.kind === "url") {
    if (origin.urls.length === 1) add("note", "source", "its source has one address only, which may go away");
    if (origin.urls.some((url) => url.startsWith("http:"))) {
      add("note", "source", "an address of its source is reached without encryption; the hash protects it");
    }
    if (!origin.fileName.includes(pkg.version)) {
      add(
        "note",
        "source",
        `its file is called ${origin.fileName}, without the version`,
        "meso refresh cannot compare it",
      );
    }
  }
  for (const input of pkg.inputs) {
    const inputName = typeof input === "string" ? input : input.name;
    if (buildTools.has(inputName))
      add("warning", "inputs", `${inputName} is a tool of builds`, "name it in nativeInputs");
  }
  return found.map((one) => ({ ...one, package: `${pkg.name} ${pkg.version}`, ...(where && { where }) }));
}

const buildTools = new Set(
  "autoconf automake bison cmake flex gettext gperf help2man libtool make meson ninja-build pkgconf pkg-config swig texinfo".split(
    " ",
  ),
);

/** SPDX 2.3, annex D: identifiers, `+`, exceptions, AND, OR and parentheses. */
function isLicence(text: string): boolean {
  const word = "(?:LicenseRef-)?[A-Za-z0-9.-]+\\+?(?: WITH [A-Za-z0-9.-]+)?";
  const flat = text.replaceAll(/[()]/g, "").trim();
  return new RegExp(`^${word}(?: (?:AND|OR) ${word})*$`).test(flat);
}
