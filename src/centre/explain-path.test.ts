import assert from "node:assert/strict";
import { dirname } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { MesoError } from "../base/error.ts";
import { type RealisedSystem, realiseSystem } from "../build/compose.ts";
import { composedFacts } from "../build/composed-facts.ts";
import { prepareSystem } from "../build/prepare.ts";
import {
  basePackages,
  baseServices,
  etcFile,
  etcFiles,
  fileSystem,
  label,
  maskUnit,
  operatingSystem,
  simpleService,
  systemdUnits,
} from "../index.ts";
import { administrators, openssh } from "../services/index.ts";
import type { SegmentTable } from "../store/segment.ts";
import { testSession } from "../test-support/test-session.ts";
import { describeSystem } from "./describe-system.ts";
import { explainPath, type PathExplanation, type PathMaker } from "./explain-path.ts";
import { describedPackage, describedText, emptyDescription } from "./system-description.testing.ts";
import type { SystemDescription } from "./system-description.ts";

const here = fileURLToPath(import.meta.url);

describe("a path of a real system", () => {
  const session = testSession();
  let system: RealisedSystem;
  let description: SystemDescription;
  const tables = new Map<string, SegmentTable>();
  const tableOf = (sha256: string): SegmentTable => {
    const table = tables.get(sha256) ?? session.store.readSegmentTable(sha256);
    tables.set(sha256, table);
    return table;
  };
  before(async () => {
    const os = operatingSystem({
      hostName: "explained",
      fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" })],
      packages: [...basePackages, "vim-tiny"],
      alternatives: { pager: "/usr/bin/less" },
      services: [
        ...baseServices,
        openssh(),
        administrators({ people: [{ name: "ann", authorizedKeys: [] }] }),
        simpleService("motto", etcFiles, [etcFile("/etc/motto", "Festina lente\n")]),
        simpleService("quiet", systemdUnits, [maskUnit("e2scrub_reap.service")]),
      ],
    });
    const prepared = await prepareSystem(session, os);
    system = await realiseSystem(session, prepared);
    description = await describeSystem(prepared, { folder: dirname(here), composed: composedFacts(system) });
  });
  after(() => tables.clear());

  const explain = (path: string): PathExplanation => explainPath(description, path, tableOf);
  const makers = (path: string) => explain(path).steps.map(({ path: step, maker }) => [step, nameOf(maker)]);

  it("is a package's, with why that is there", () => {
    const [step] = explain("/usr/lib/x86_64-linux-gnu/libwrap.so.0.7.6").steps;
    assert.ok(step?.maker.kind === "package");
    assert.deepEqual([step.maker.package, step.maker.source, step.maker.how], ["libwrap0", "tcp-wrappers", undefined]);
    assert.deepEqual(
      step.maker.because.map(({ package: name }) => name),
      ["libwrap0", "openssh-server"],
    );
    assert.match(step.maker.because[1]!.relation!, /^libwrap0/);
    assert.equal(step.maker.because[1]!.origins?.[0]?.by, "openssh");
  });

  it("is a service's, with the line of the program", () => {
    const [step, ...more] = explain("/etc/motto").steps;
    assert.ok(step?.maker.kind === "service" && more.length === 0);
    assert.equal(step.maker.origin.by, "motto");
    assert.equal(step.maker.origin.where?.file, "explain-path.test.ts");
    assert.deepEqual(
      makers("/etc/ssh/sshd_config").map(([, name]) => name),
      ["openssh", "openssh"],
    );
  });

  it("is told with each link on the way", () => {
    assert.deepEqual(makers("/bin/ls"), [
      ["/bin", "base-files"],
      ["/usr/bin/ls", "coreutils"],
    ]);
    assert.deepEqual(makers("/etc/systemd/system/multi-user.target.wants/ssh.service"), [
      ["/etc/systemd/system/multi-user.target.wants/ssh.service", "enabled unit ssh.service"],
      ["/usr/lib/systemd/system/ssh.service", "openssh-server"],
    ]);
    assert.deepEqual(makers("/etc/resolv.conf").length, 1, "a link out of the image is there all the same");
  });

  it("is made by a step of composing, and who asked for it", () => {
    for (const [path, step] of [
      ["/etc/ld.so.cache", "ldconfig"],
      ["/etc/passwd", "accounts"],
      ["/var/lib/dpkg/status", "dpkg database"],
      ["/etc/ssl/certs/ca-certificates.crt", "ca-certificates"],
      ["/etc/shells", "login shells"],
      ["/usr/lib/udev/hwdb.bin", "systemd-hwdb"],
    ] as const) {
      const maker = explain(path).steps.at(-1)!.maker;
      assert.deepEqual([maker.kind, nameOf(maker)], ["step", step]);
    }
    const modules = [...system.tree.keys()].find((path) => path.endsWith("/modules.dep"))!;
    assert.match(nameOf(explain(modules).steps.at(-1)!.maker), /^depmod /);
    const [wanted] = explain("/etc/systemd/system/multi-user.target.wants/ssh.service").steps;
    assert.ok(wanted?.maker.kind === "step" && wanted.maker.origins[0]?.by === "openssh");
    const masked = explain("/etc/systemd/system/e2scrub_reap.service").steps[0]!.maker;
    assert.ok(masked.kind === "step" && masked.origins[0]?.by === "quiet");
  });

  it("is a choice of alternatives, or what a script would have left", () => {
    const [editor, alternative] = explain("/usr/bin/editor").steps;
    assert.ok(editor?.maker.kind === "package" && alternative?.maker.kind === "package");
    assert.match(editor.maker.how!, /alternatives leaves it for editor: its priority is the highest/);
    const pager = explain("/usr/bin/pager").steps[0]!.maker;
    assert.match((pager as { how: string }).how, /the record chooses \/usr\/bin\/less/);
    const script = explain("/etc/motd").steps[0]!.maker;
    assert.ok(script.kind === "package" && /maintainer script/.test(script.how!));
  });

  it("is in somebody's home", () => {
    const maker = explain("/home/ann/.bashrc").steps[0]!.maker;
    assert.ok(maker.kind === "service" && maker.origin.by === "administrators");
    assert.equal(maker.origin.where?.file, "explain-path.test.ts", "not the catalogue's own line");
  });

  it("is explained wherever it lies, by whom the tree names", () => {
    const installed = new Set(system.prepared.packages.map(({ name }) => name));
    const generated = new Set(system.prepared.manifest.files.map(({ path }) => path));
    let compared = 0;
    for (const [path, entry] of [...system.tree].filter((_, i) => i % 101 === 0)) {
      const step = explain(path).steps.find((one) => one.path === path);
      assert.ok(step, path);
      assert.equal(step.kind, entry.kind, path);
      if (!installed.has(entry.origin) || generated.has(path) || step.maker.kind !== "package") continue;
      assert.equal(step.maker.package, entry.origin, path);
      compared++;
    }
    assert.ok(compared > 50);
  });

  it("that is not there is answered with those that may be meant", () => {
    assert.deepEqual(explain("/etc/ssh/sshd_confg").nearest[0], "/etc/ssh/sshd_config");
    assert.ok(explain("/usr/local/bin/vim.tiny").nearest.includes("/usr/bin/vim.tiny"));
    assert.match(explain("/run/sshd.pid").remark!, /while the machine runs/);
    assert.deepEqual(explain("/etc/ssh/../ssh//./ssh_config").path, "/etc/ssh/ssh_config");
    assert.throws(
      () => explain("etc/passwd"),
      (error: MesoError) => error instanceof MesoError && error.code === "wrong-path",
    );
  });
});

describe("a path of a system that was never composed here", () => {
  const debian = describedPackage("a", "1");
  const entry = (path: string) =>
    ({ kind: "symlink", path, target: "loop", mode: 0o777, uid: 0, gid: 0, mtime: 1 }) as const;
  const table: SegmentTable = {
    id: debian.sha256,
    dataBytes: 0,
    dataSha256: "",
    entries: [entry("/loop"), entry("/usr/bin/a")],
  };
  const system = { ...emptyDescription, packages: [debian], files: [describedText("/etc/a", "a\n", "texts", 4)] };

  it("is explained by the packages' tables and the record", () => {
    const explain = (path: string) => explainPath(system, path, () => table);
    assert.equal(nameOf(explain("/etc/a").steps[0]!.maker), "texts");
    assert.equal(nameOf(explain("/usr/bin/a").steps[0]!.maker), "a");
    assert.ok(explain("/loop/x").steps.length <= 41, "links in circles end");
  });
});

function nameOf(maker: PathMaker): string {
  if (maker.kind === "package") return maker.package;
  return maker.kind === "service" ? maker.origin.by : maker.step;
}
