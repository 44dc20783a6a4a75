import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { MesoError } from "../../base/error.ts";
import { compareBytes } from "../../base/order.ts";
import { type DraftTree, generatedFile, generatedLink } from "../draft-tree.ts";
import { enableUnits } from "./enable-units.ts";

const unitTexts: Readonly<Record<string, string>> = {
  "a.service":
    "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target other.target\nAlias=alias-of-a.service\nAlso=b.socket\n",
  "b.socket": "[Socket]\nListenStream=/run/b\n[Install]\nRequiredBy=sockets.target\nWantedBy=%p.target\n",
  "b.service": "[Service]\nExecStart=/bin/true\n",
  "t@.service": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=getty.target dev-%i.device\nDefaultInstance=one\n",
  "continued.service":
    "[Service]\nExecStart=/bin/true\n[Install]\n# WantedBy=wrong.target\nWantedBy=right.target \\\n  another.target\nWantedBy=third.target\n",
  "static.service": "[Service]\nExecStart=/bin/true\n",
};
const enabled = ["a.service", "t@two.service", "t@.service", "continued.service"];

function treeOfUnits(): DraftTree {
  const folder = "/usr/lib/systemd/system";
  return new Map(
    Object.entries(unitTexts).map(([name, text]) => [`${folder}/${name}`, generatedFile(text, { origin: "p" })]),
  );
}

const readFile = (entry: { content: unknown }) => (entry.content as { bytes: Uint8Array }).bytes;

describe("enabling units", () => {
  it("makes the links that systemctl makes", () => {
    const folder = mkdtempSync(join(tmpdir(), "units-"));
    try {
      for (const [name, text] of Object.entries(unitTexts)) {
        const file = join(folder, "usr/lib/systemd/system", name);
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, text);
      }
      execFileSync("systemctl", [`--root=${folder}`, "enable", ...enabled], { stdio: "ignore" });
      execFileSync("systemctl", [`--root=${folder}`, "mask", "static.service"], { stdio: "ignore" });
      const top = join(folder, "etc/systemd/system");
      const links = readdirSync(top, { recursive: true, withFileTypes: true }).filter((entry) =>
        entry.isSymbolicLink(),
      );
      const expected = links.map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return `${path.slice(folder.length)} -> ${readlinkSync(path).replace(/^\/lib\//, "/usr/lib/")}`;
      });
      const tree = treeOfUnits();
      enableUnits(tree, enabled, ["static.service"], readFile);
      const made = [...tree].flatMap(([path, entry]) =>
        entry.kind === "symlink" ? [`${path} -> ${entry.target}`] : [],
      );
      assert.deepEqual(made.sort(compareBytes), expected.sort(compareBytes));
      assert.ok(made.length >= 8);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("follows aliases, generated units kept elsewhere, and drop-ins", () => {
    const tree = treeOfUnits();
    tree.set("/usr/lib/systemd/system/other-name.service", generatedLink("a.service", { origin: "p" }));
    tree.set("/meso/store/x.service", generatedFile("[Install]\nWantedBy=multi-user.target\n", { origin: "s" }));
    tree.set("/etc/systemd/system/x.service", generatedLink("/meso/store/x.service", { origin: "s" }));
    tree.set("/etc/systemd/system/static.service.d", {
      ...generatedFile("", { origin: "s" }),
      kind: "directory",
    } as never);
    tree.set(
      "/etc/systemd/system/static.service.d/i.conf",
      generatedFile("[Install]\nWantedBy=q.target\n", { origin: "s" }),
    );
    enableUnits(tree, ["other-name.service", "x.service", "static.service"], [], readFile);
    const target = (path: string) =>
      (tree.get(`/etc/systemd/system/${path}`) as { target?: string } | undefined)?.target;
    assert.equal(target("multi-user.target.wants/x.service"), "/etc/systemd/system/x.service");
    assert.equal(target("q.target.wants/static.service"), "/usr/lib/systemd/system/static.service");
    assert.equal(target("alias-of-a.service"), "/usr/lib/systemd/system/a.service");
  });

  it("tells all that is wrong at once, with the nearest name", () => {
    assert.throws(
      () => enableUnits(treeOfUnits(), ["contined.service", "static.service"], [], readFile),
      (error) => {
        assert.ok(error instanceof MesoError);
        assert.deepEqual(
          error.problems.map(({ code }) => code),
          ["unknown-unit", "unit-without-install"],
        );
        assert.match(error.problems[0]?.hint ?? "", /continued\.service/);
        return true;
      },
    );
  });
});
