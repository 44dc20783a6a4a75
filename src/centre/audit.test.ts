import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { MesoError } from "../base/error.ts";
import { prepareSystem } from "../build/prepare.ts";
import {
  type InventedPackage,
  inventedIndex,
  inventedSource,
  inventedText,
} from "../debian/package-index-fixture.testing.ts";
import { sourceVersions } from "../debian/source-versions.ts";
import { fileSystem, label, operatingSystem } from "../index.ts";
import { openssh } from "../services/index.ts";
import { testSession } from "../test-support/test-session.ts";
import { type AuditTools, audit, auditTools } from "./audit.ts";
import { auditCve } from "./audit-cve.ts";
import { channelOffers } from "./channel-offer.ts";
import { describeSystem } from "./describe-system.ts";
import { renderAudit, renderCveAudit } from "./render-audit.ts";
import { describedPackage, emptyDescription } from "./system-description.testing.ts";
import type { DescribedPackage, SystemDescription } from "./system-description.ts";

const changelogs: Readonly<Record<string, readonly (readonly [version: string, changes: string])[]>> = {
  openssl: [
    ["3-1+deb13u2", "Fix CVE-2026-2002"],
    ["3-1+deb13u1", "Fix CVE-2026-1001"],
    ["3-1", "New"],
  ],
  "linux-signed": [
    ["6.12.9+1", "Fix CVE-2026-3003"],
    ["6.12.5+1", "Fix CVE-2025-1111"],
  ],
  nano: [
    ["8-2", "Typo"],
    ["8-1", "New"],
  ],
  vim: [["9-1", "Fix CVE-2026-2002 too"]],
};

const index = (suite: string, ...packages: InventedPackage[]) => inventedSource(inventedText(packages), suite);
const ssl = (version: string): InventedPackage[] => [
  { Package: "libssl3", Version: version, Source: "openssl" },
  { Package: "openssl", Version: version },
];
const texts = [
  index(
    "trixie",
    ...ssl("3-1"),
    { Package: "linux-image-6.12.5-amd64", Version: "6.12.5-1", Source: "linux-signed (6.12.5+1)" },
    { Package: "nano", Version: "8-2" },
    { Package: "vim", Version: "9-1" },
    // Shares a name with what a machine has, and nothing else.
    { Package: "tool", Version: "9", Source: "other-tool" },
  ),
  index("trixie-security", ...ssl("3-1+deb13u1"), ...ssl("3-1+deb13u2"), {
    Package: "linux-image-6.12.9-amd64",
    Version: "6.12.9-1",
    Source: "linux-signed (6.12.9+1)",
  }),
];

async function tools(given: Partial<AuditTools> = {}): Promise<AuditTools> {
  const packages = await inventedIndex({ texts: texts });
  const sources = await sourceVersions(texts);
  const suites = ["trixie", "trixie-security"].map((suite) => ({ suite, date: "2026-09-12T07:55:41.000Z" }));
  return {
    offerFor: async () => ({ suites, sources, index: packages }),
    fetch: async () => {},
    // As an archive has it: what came after its own version is not in it.
    readChangelog: async (archive) => {
      const { source, version: built } = archive as DescribedPackage;
      const own = source === "linux-signed" ? built.replace("-", "+") : built;
      const all = changelogs[source];
      if (all === undefined) throw new MesoError({ code: "no-changelog", what: `none of ${archive.name}` });
      return all
        .slice(all.findIndex(([version]) => version === own))
        .map(
          ([version, changes]) =>
            `${source} (${version}) trixie; urgency=high\n\n  * ${changes}\n\n -- A <a@b.c>  Sat, 12 Sep 2026 07:55:41 +0000\n\n`,
        )
        .join("");
    },
    ...given,
  };
}

const system = (...packages: DescribedPackage[]): SystemDescription => ({ ...emptyDescription, packages });
const oldSsl = [describedPackage("libssl3", "3-1", { source: "openssl" }), describedPackage("openssl", "3-1")];
const newSsl = [describedPackage("libssl3", "3-1+deb13u2", { source: "openssl" })];
const oldKernel = describedPackage("linux-image-6.12.5-amd64", "6.12.5-1", {
  source: "linux-signed",
  sourceVersion: "6.12.5+1",
});
const nano = describedPackage("nano", "8-1");

describe("an audit", () => {
  it("tells what the channel has newer, by source package, security first", async () => {
    const machines = [
      { machine: "web/2", system: system(...newSsl) },
      { machine: "web/1", system: system(nano, ...oldSsl, oldKernel) },
    ];
    const { machines: audited, suites } = await audit(machines, await tools());
    assert.deepEqual(
      audited.map(({ machine, updates }) => [machine, updates.length]),
      [
        ["web/1", 3],
        ["web/2", 0],
      ],
    );
    assert.deepEqual(
      suites.map(({ suite }) => suite),
      ["trixie", "trixie-security"],
    );
    assert.deepEqual(
      audited[0]!.updates.map(({ source, installed, offered, suite, isSecurity }) => [
        source,
        installed,
        offered,
        suite,
        isSecurity,
      ]),
      [
        ["linux-signed", "6.12.5+1", "6.12.9+1", "trixie-security", true],
        ["openssl", "3-1", "3-1+deb13u2", "trixie-security", true],
        ["nano", "8-1", "8-2", "trixie", false],
      ],
    );
    const [kernel, openssl] = audited[0]!.updates;
    assert.deepEqual(kernel?.news.cves, ["CVE-2026-3003"], "although no package of that name is newer");
    assert.deepEqual(openssl?.news.cves, ["CVE-2026-1001", "CVE-2026-2002"]);
    assert.deepEqual(
      openssl?.packages.map(({ name }) => name),
      ["libssl3", "openssl"],
    );
  });

  it("does not take one source for another of its name", async () => {
    const machines = [{ machine: "a", system: system(describedPackage("tool", "1")) }];
    assert.deepEqual((await audit(machines, await tools())).machines[0]?.updates, []);
  });

  it("reads each changelog once, however many machines wait for it", async () => {
    let reads = 0;
    const usual = await tools();
    const counting = await tools({
      readChangelog: (...given) => {
        reads++;
        return usual.readChangelog(...given);
      },
    });
    const machines = ["a", "b", "c"].map((machine) => ({ machine, system: system(...oldSsl) }));
    await audit(machines, counting);
    assert.equal(reads, 1);
  });

  it("tells what it cannot read", async () => {
    const silent = await tools({
      readChangelog: async () => {
        throw new MesoError({ code: "gone", what: "the mirror has it no more" });
      },
    });
    const machines = [{ machine: "a", system: system(...oldSsl) }];
    const [update] = (await audit(machines, silent)).machines[0]!.updates;
    assert.deepEqual([update?.news.unknown, update?.isSecurity], ["the mirror has it no more", true]);
  });

  it("reads well", async () => {
    const machines = [
      { machine: "a", system: system(nano, ...oldSsl) },
      { machine: "b", system: system(nano, ...oldSsl) },
      { machine: "c", system: system() },
    ];
    assert.deepEqual(renderAudit(await audit(machines, await tools())), [
      "2 of 3 machines have updates waiting (trixie of 2026-09-12, trixie-security of 2026-09-12)",
      "a, b: 1 security, 1 other",
      "  openssl 3-1 → 3-1+deb13u2 (trixie-security): libssl3",
      "    mends CVE-2026-1001, CVE-2026-2002",
      "  nano 8-1 → 8-2 (trixie)",
      "to plan them: meso plan a b",
    ]);
    const lookedAtNow = renderAudit(await audit(machines, await tools()), "now");
    assert.equal(
      lookedAtNow.at(-1),
      "to plan them: meso pull && meso plan a b",
      "what the lock has not is pulled first",
    );
  });
});

describe("an audit for one vulnerability", () => {
  const machines = [
    { machine: "old", system: system(...oldSsl) },
    { machine: "new", system: system(...newSsl) },
    { machine: "without", system: system(nano) },
  ];
  const statuses = async (cve: string, given = machines) => {
    const answer = await auditCve(cve, given, await tools());
    return Object.fromEntries(answer.machines.map(({ machine, status }) => [machine, status]));
  };

  it("tells affected, fixed and without it apart", async () => {
    assert.deepEqual(await statuses("CVE-2026-1001"), { old: "affected", new: "fixed", without: "not-installed" });
    assert.deepEqual(await statuses("cve-2026-1001"), await statuses("CVE-2026-1001"));
  });

  it("finds every source that mentions it", async () => {
    const answer = await auditCve(
      "CVE-2026-2002",
      [...machines, { machine: "editor", system: system(describedPackage("vim", "9-1")) }],
      await tools(),
    );
    assert.deepEqual(answer.sources, ["openssl", "vim"]);
    const editor = answer.machines.find(({ machine }) => machine === "editor")!;
    assert.deepEqual([editor.status, editor.findings[0]?.fixedIn], ["fixed", "9-1"]);
  });

  it("does not say that a number mentioned nowhere is harmless", async () => {
    assert.deepEqual(await statuses("CVE-2026-9999"), { old: "unknown", new: "unknown", without: "unknown" });
  });

  it("does not say that a version whose channel tells nothing is fixed", async () => {
    const usual = await tools();
    const elsewhere = await tools({
      // A channel without the fix: that of the older system.
      offerFor: async (one) => {
        const offer = await usual.offerFor(one);
        return one.packages === oldSystem.packages ? { ...offer, sources: new Map() } : offer;
      },
    });
    const oldSystem = machines[0]!.system;
    const answer = await auditCve("CVE-2026-1001", machines, elsewhere);
    const old = answer.machines.find(({ machine }) => machine === "old")!;
    assert.deepEqual([old.status, old.findings[0]?.source], ["unknown", "openssl"]);
    assert.match(renderCveAudit(answer).join("\n"), /openssl 3-1: its channel has no fix that says so/);
  });

  it("is asked with a CVE number", async () => {
    for (const wrong of ["openssl", "CVE-2026-1", "CVE-2026-1001 CVE-2026-1002", ""]) {
      await assert.rejects(auditCve(wrong, machines, await tools()), (error: MesoError) => error.code === "wrong-cve");
    }
  });

  it("reads well", async () => {
    assert.deepEqual(renderCveAudit(await auditCve("CVE-2026-1001", machines, await tools())), [
      "CVE-2026-1001: 1 affected, 1 fixed already, 1 without what it is in",
      "  old: affected",
      "    openssl 3-1, fixed in 3-1+deb13u1 (trixie-security)",
      "  new: fixed already",
      "    openssl 3-1+deb13u2, fixed since 3-1+deb13u1",
      "  without: without what it is in",
      "to plan them: meso plan old",
    ]);
    const lookedAtNow = renderCveAudit(await auditCve("CVE-2026-1001", machines, await tools()), "now");
    assert.equal(lookedAtNow.at(-1), "to plan them: meso pull && meso plan old");
    const none = ["no machine runs a system that is known here"];
    assert.deepEqual(renderCveAudit(await auditCve("CVE-2026-1001", [], await tools())), none);
    assert.deepEqual(renderAudit(await audit([], await tools())), none);
    assert.match(renderCveAudit(await auditCve("CVE-2026-9999", machines, await tools()))[1]!, /mentions it/);
  });
});

describe("with Debian's own indices and archives", () => {
  const session = testSession();

  it("a system of the pinned channel is up to date, and an older one is not", async () => {
    const os = operatingSystem({
      hostName: "a",
      fileSystems: [fileSystem({ device: label("a"), mountPoint: "/", type: "ext4" })],
      services: [openssh()],
    });
    const now = await describeSystem(await prepareSystem(session, os), { folder: import.meta.dirname });
    // As on the day trixie came out: the versions that it had then.
    const then: Readonly<Record<string, string>> = { openssl: "3.5.1-1", "linux-signed-amd64": "6.12.38+1" };
    const older: SystemDescription = {
      ...now,
      packages: now.packages.map((one) => ({ ...one, sourceVersion: then[one.source] ?? one.sourceVersion })),
    };
    const machines = [
      { machine: "now", system: now },
      { machine: "then", system: older },
    ];
    const real = auditTools(session, "pinned");
    const { machines: audited } = await audit(machines, real);
    const [current, old] = audited;
    assert.deepEqual(current?.updates, []);
    assert.deepEqual(
      old?.updates.map(({ source, isSecurity }) => [source, isSecurity]),
      [
        ["linux-signed-amd64", true],
        ["openssl", true],
      ],
    );
    assert.ok(old!.updates.every(({ news }) => news.unknown === undefined && news.cves.length > 0));
    const openssl = old!.updates[1]!;
    const cve = openssl.news.cves.find((one) => openssl.news.entries.some(({ cves }) => cves.includes(one)))!;
    const answer = await auditCve(cve, machines, real);
    assert.deepEqual(
      answer.machines.map(({ machine, status }) => [machine, status]),
      [
        ["now", "fixed"],
        ["then", "affected"],
      ],
    );
  });

  it("what mirrors offer now is looked at without touching the lock", async () => {
    const lock = readFileSync(session.lockFile);
    const offerFor = channelOffers(session, "now");
    const offer = await offerFor(emptyDescription);
    assert.deepEqual(readFileSync(session.lockFile), lock);
    const pinned = await channelOffers(session, "pinned")(emptyDescription);
    for (const { suite, date } of offer.suites) {
      assert.ok(date >= pinned.suites.find((one) => one.suite === suite)!.date, suite);
    }
    assert.ok(offer.sources.get("openssl")!.length > 0 && offer.index.versions("openssl").length > 0);
    assert.equal(await offerFor({ ...emptyDescription, hostName: "other" }), offer, "asked once for all machines");
  });
});
