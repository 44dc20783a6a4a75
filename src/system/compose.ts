import { assert, failure, MesoError, type Problem } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import { parseRelations } from "../debian/relation.ts";
import type { FileEntry, FileTree } from "../store/file-tree.ts";
import { type Accounts, mergeAccounts, type NumberOf } from "./accounts-merge.ts";
import { applyEffects } from "./apply-effects.ts";
import {
  completeTree,
  type DraftTree,
  fileAt,
  generatedDirectory,
  generatedFile,
  generatedLink,
  realPath,
} from "./draft-tree.ts";
import { linkAlternatives } from "./hooks/alternatives.ts";
import { installCertificates } from "./hooks/ca-certificates.ts";
import { writeDpkgDatabase } from "./hooks/dpkg-database.ts";
import { enableUnits } from "./hooks/enable-units.ts";
import { type Judge, judgeConfigurations } from "./hooks/judge-configuration.ts";
import { listShells } from "./hooks/login-shells.ts";
import type { Remember } from "./hooks/remember.ts";
import { fillToolCaches, kernelVersions, type RunTool } from "./hooks/tool-caches.ts";
import { markUpdated } from "./hooks/update-marks.ts";
import type { JudgedPackage } from "./ledger/judge-scripts.ts";
import type { ManifestFile, SystemManifest } from "./manifest.ts";
import { type ComposedPackage, type MergedPackages, mergePackages } from "./merge-packages.ts";
import { type ComposedSource, placeSources } from "./place-sources.ts";
import { unknownNameProblems } from "./unknown-names.ts";

export interface ComposeInput {
  readonly manifest: SystemManifest;
  /** What the resolver chose, read from the store; in any order. */
  readonly packages: readonly ComposedPackage[];
  /** Packages built from source, and what they need. */
  readonly sources?: readonly ComposedSource[];
  readonly readFile: (entry: FileEntry) => Uint8Array;
  readonly runTool: RunTool;
  /** Looks at configurations before they are in an image; nobody does when left out. */
  readonly judge?: Judge;
  /** Keeps what is costly and follows from few inputs from one run to the next; computes anew when left out. */
  readonly remember?: Remember;
  /** The registry of account numbers, with the person's own already in it. */
  readonly numberOf: NumberOf;
}

export interface ComposedSystem {
  readonly tree: FileTree;
  readonly kernel: ComposedKernel;
  readonly accounts: Accounts;
  /** Scripts that had to be acknowledged, and by whom; by package name. */
  readonly ledgerReport: readonly JudgedPackage[];
  /** Folders that packages ship with different modes. */
  readonly disagreements: readonly string[];
}

export interface ComposedKernel {
  /** As `uname -r` says it. */
  readonly version: string;
  /** Paths in the tree. */
  readonly image: string;
  readonly modules: string;
  /** Texts of modules.dep and modules.builtin; empty for a kernel without modules. */
  readonly modulesDep: string;
  readonly modulesBuiltin: string;
}

/**
 * A manifest and its packages become the finished tree of a root file system: nothing is run but the tools of
 * the hooks, in their sandbox. The same inputs, in whatever order, give the same tree.
 *
 * @throws MesoError with all problems of a step at once: `unknown-maintainer-script`, `path-conflict`,
 *   `unnumbered-account`, `unknown-unit`, `unknown-alternative`, `unknown-time-zone`, `file-already-shipped` and others.
 */
export async function composeSystem(input: ComposeInput): Promise<ComposedSystem> {
  const { manifest, readFile } = input;
  const packages = sortedBy(input.packages, ({ name, architecture }) => `${name}:${architecture}`);
  const remember: Remember = input.remember ?? (async (_, compute) => compute());
  const archives = packages.map(({ name, segment }) => [name, segment.id]);
  const judged = await remember(["scripts", archives, manifest.acknowledgedScripts], async () => {
    // The ledger is a third of all modules, and what it says of the same archives does not change.
    const { judgeScripts } = await import("./ledger/judge-scripts.ts");
    return judgeScripts(
      packages.map(({ name, version, segment }) => ({
        name,
        version,
        controlFiles: segment.controlFiles,
        entries: segment.entries,
      })),
      manifest.acknowledgedScripts,
    );
  });
  const diversions = judged.flatMap(({ name, effects }) =>
    effects.diversions.map((diversion) => ({ ...diversion, by: name })),
  );
  const merged = mergePackages(packages, diversions);
  const tree = merged.tree;
  const replaced = placeSources(tree, input.sources ?? [], readFile);
  const accounts = accountsOf(input, tree, judged);
  settleOwners(merged, accounts);
  const shippedBy = new Map<string, string>();
  for (const [path, { kind, origin }] of tree) if (kind !== "directory") shippedBy.set(path, origin);
  for (const { name, effects } of judged) applyEffects(tree, name, effects, accounts);
  for (const [path, { text, mode, group }] of accounts.files) {
    tree.set(path, generatedFile(text, { mode, gid: accounts.gidOf(group) ?? 0, origin: "accounts" }));
  }
  addHomes(tree, manifest, accounts);
  const shells = judged.flatMap(({ effects }) => effects.shells);
  listShells(tree, readFile, shells);
  const offered = judged.flatMap(({ name, effects }) => effects.alternatives.map((one) => ({ ...one, origin: name })));
  linkAlternatives(tree, offered, manifest.alternatives);
  tree.set("/etc/mtab", generatedLink("../proc/self/mounts", { origin: "system" }));
  addManifestFiles(tree, manifest.files, accounts, shippedBy);
  await installCertificates(tree, readFile, remember);
  enableUnits(tree, manifest.enabledUnits, manifest.maskedUnits, readFile);
  completeTree(tree);
  const unknown = unknownNameProblems(manifest, tree);
  if (unknown.length > 0) throw new MesoError(unknown);
  await Promise.all([
    fillToolCaches(tree, {
      runTool: input.runTool,
      readFile,
      libcVersion: packages.find(({ name }) => name === "libc-bin")?.version ?? "",
    }),
    // A copy, since the others add to the tree meanwhile.
    input.judge && manifest.configurationChecks.length > 0
      ? judgeConfigurations(manifest, new Map(tree), input.judge)
      : undefined,
  ]);
  await writeDpkgDatabase(tree, packages, {
    diversions,
    overrides: judged.flatMap(({ effects }) => effects.attributes.filter(({ registered }) => registered)),
    architecture: manifest.architecture,
    replaced,
    readFile,
    remember,
  });
  markUpdated(tree);
  completeTree(tree);
  return {
    tree,
    kernel: findKernel(input, tree),
    accounts,
    ledgerReport: judged.filter(({ acknowledged }) => acknowledged.length > 0),
    disagreements: merged.disagreements,
  };
}

function accountsOf(
  { manifest, readFile, numberOf }: ComposeInput,
  tree: DraftTree,
  judged: readonly JudgedPackage[],
): Accounts {
  const text = (path: string) => {
    const entry = fileAt(tree, path);
    return entry === undefined ? "" : Buffer.from(readFile(entry)).toString("utf8");
  };
  const configured = [...tree.keys()].filter((path) => /^\/usr\/lib\/sysusers\.d\/[^/]+\.conf$/.test(path));
  const generated = manifest.files.flatMap((file) =>
    file.kind === "file" && /^\/(etc|usr\/lib)\/sysusers\.d\/[^/]+\.conf$/.test(file.path)
      ? [{ path: file.path, origin: file.origin.by, text: file.text }]
      : [],
  );
  const packaged = configured.map((path) => ({ path, origin: tree.get(path)!.origin, text: text(path) }));
  return mergeAccounts({
    passwdMaster: text("/usr/share/base-passwd/passwd.master"),
    groupMaster: text("/usr/share/base-passwd/group.master"),
    sysusers: sortedBy([...packaged, ...generated], ({ path }) => path.slice(path.lastIndexOf("/") + 1)),
    packages: judged.map(({ name, effects }) => ({ origin: name, users: effects.users, groups: effects.groups })),
    users: manifest.users,
    groups: manifest.groups,
    numberOf: (kind, name) => manifest.accountNumbers[name] ?? numberOf(kind, name),
  });
}

function settleOwners({ tree, namedOwners }: MergedPackages, accounts: Accounts): void {
  const problems: Problem[] = [];
  for (const { path, user, group } of namedOwners) {
    const entry = tree.get(path);
    if (entry === undefined) continue;
    const uid = user === undefined ? entry.uid : accounts.uidOf(user);
    const gid = group === undefined ? entry.gid : accounts.gidOf(group);
    if (uid === undefined || gid === undefined)
      problems.push(unknownOwner(path, entry.origin, uid === undefined ? user! : group!));
    else tree.set(path, { ...entry, uid, gid });
  }
  if (problems.length > 0) throw new MesoError(problems);
}

function addHomes(tree: DraftTree, manifest: SystemManifest, accounts: Accounts): void {
  const skeleton = [...tree.keys()].filter((path) => path.startsWith("/etc/skel/"));
  for (const user of manifest.users) {
    if (!user.createHome || tree.has(user.home)) continue;
    const owner = { uid: user.uid, gid: accounts.gidOf(user.group) ?? 0 };
    tree.set(user.home, generatedDirectory({ mode: user.system ? 0o755 : 0o700, ...owner, origin: user.origin.by }));
    if (user.system) continue;
    for (const path of skeleton) {
      const entry = tree.get(path)!;
      const copy = `${user.home}${path.slice("/etc/skel".length)}`;
      if (!tree.has(copy) && entry.kind !== "hardlink") tree.set(copy, { ...entry, ...owner, origin: user.origin.by });
    }
  }
}

function addManifestFiles(
  tree: DraftTree,
  files: readonly ManifestFile[],
  accounts: Accounts,
  shippedBy: ReadonlyMap<string, string>,
): void {
  const problems: Problem[] = [];
  for (const file of sortedBy(files, ({ path }) => path)) {
    const cut = file.path.lastIndexOf("/");
    const path = `${cut === 0 ? "" : realPath(tree, file.path.slice(0, cut))}${file.path.slice(cut)}`;
    const uid = accounts.uidOf(file.user);
    const gid = accounts.gidOf(file.group);
    if (uid === undefined || gid === undefined) {
      problems.push({
        ...unknownOwner(file.path, file.origin.by, uid === undefined ? file.user : file.group),
        ...whereOf(file),
      });
      continue;
    }
    const shipper = shippedBy.get(path);
    // What scripts would have left gives way to what services say; what an archive ships does so only when told to.
    if (shipper !== undefined && shipper !== "system" && file.replacesPackageFile !== true) {
      problems.push(alreadyShipped(file, shipper));
      continue;
    }
    const placement = { mode: file.mode, uid, gid, origin: file.origin.by };
    if (file.kind === "file") tree.set(path, generatedFile(file.text, placement));
    else if (file.kind === "directory") tree.set(path, generatedDirectory(placement));
    else tree.set(path, generatedLink(file.target, { ...placement, mode: 0o777 }));
  }
  if (problems.length > 0) throw new MesoError(problems);
}

function whereOf(file: ManifestFile): Pick<Problem, "where"> {
  return file.origin.where === undefined ? {} : { where: file.origin.where };
}

function alreadyShipped(file: ManifestFile, origin: string): Problem {
  return {
    code: "file-already-shipped",
    what: `${file.origin.by} writes ${file.path}, which the package ${origin} ships`,
    ...whereOf(file),
    expected: "a path of its own, or a word that the package's file is to be replaced",
    hint: "add replacesPackageFile: true if that is meant",
  };
}

function unknownOwner(path: string, origin: string, name: string): Problem {
  return {
    code: "unknown-owner",
    what: `${path} (${origin}) is to belong to ${name}, which does not exist`,
    expected: "an account of base-passwd, of an installed package or of the record",
  };
}

function findKernel({ manifest, packages, readFile }: ComposeInput, tree: FileTree): ComposedKernel {
  const image = kernelImage(manifest.kernel.package, packages) ?? onlyImage(tree);
  if (image === undefined) {
    throw failure("missing-kernel", `no kernel image comes with ${manifest.kernel.package}`, {
      field: "kernel.package",
      expected: "a package that ships /boot/vmlinuz-…, or depends on one that does",
    });
  }
  const version = image.slice("/boot/vmlinuz-".length);
  const modules = `/usr/lib/modules/${version}`;
  const text = (name: string) => {
    const entry = fileAt(tree, `${modules}/${name}`);
    return entry === undefined ? "" : Buffer.from(readFile(entry)).toString("utf8");
  };
  assert(fileAt(tree, image) !== undefined, `${image} is in the tree`);
  return { version, image, modules, modulesDep: text("modules.dep"), modulesBuiltin: text("modules.builtin") };
}

function kernelImage(name: string, packages: readonly ComposedPackage[], depth = 0): string | undefined {
  const debian = packages.find((one) => one.name === name);
  if (debian === undefined || depth > 3) return undefined;
  const own = debian.segment.entries.find(({ path, kind }) => kind === "file" && path.startsWith("/boot/vmlinuz-"));
  if (own) return own.path;
  for (const group of parseRelations(debian.segment.control.Depends ?? "")) {
    for (const relation of group) {
      const found = relation.name.startsWith("linux-") ? kernelImage(relation.name, packages, depth + 1) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}

function onlyImage(tree: FileTree): string | undefined {
  const versions = kernelVersions(tree).filter((version) => tree.has(`/boot/vmlinuz-${version}`));
  return versions.length === 1 ? `/boot/vmlinuz-${versions[0]}` : undefined;
}
