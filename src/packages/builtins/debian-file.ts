import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { failure } from "../../base/error.ts";
import { importDebian } from "../../debian/import.ts";
import type { Builtin } from "../../store/builtin.ts";
import { readSegmentFile } from "../../store/read-content.ts";

/**
 * One file out of a Debian archive: the variable `archive` names the archive's path, `files` the places where the file
 * may be (one a line), of which the first that is there is taken, and `as` where it comes to lie in the output. So the first tool comes to be before there is any.
 *
 * @throws MesoError `no-such-file` when the archive has none of them; those of importing.
 */
export const debianFileBuiltin: Builtin = async ({ store, items, derivation, place, signal }) => {
  const { environment } = derivation;
  const archive = items.physicalPath(environment.get("archive")!);
  const sha256 = environment.get("sha256")!;
  const segment = await importDebian(store, archive, { sha256, size: statSync(archive).size }, { signal });
  const names = environment.get("files")!.split("\n");
  const entry = names
    .map((name) => segment.entries.find(({ path, kind }) => path === name && kind === "file"))
    .find((found) => found !== undefined);
  if (!entry) {
    throw failure("no-such-file", `the archive holds none of ${names.join(", ")}`, {
      hint: "the channel's package ships it elsewhere",
    });
  }
  const target = join(place("out"), environment.get("as")!);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, readSegmentFile(store, sha256, entry), { mode: 0o755 });
};
