import type { Command } from "./command.ts";

/** A verb as the overview shows it; what it takes to run it is read only when it is asked for. */
export interface CommandName {
  readonly words: readonly string[];
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** Every verb, in the order that the overview shows them. */
export const commandNames: readonly CommandName[] = [
  {
    words: ["up"],
    summary: "build, try and start a whole centre",
    load: async () => (await import("./commands/up.ts")).up,
  },
  {
    words: ["plan"],
    summary: "say what a deployment would do, and why",
    load: async () => (await import("./commands/plan.ts")).plan,
  },
  {
    words: ["deploy"],
    summary: "bring machines to what the program says",
    load: async () => (await import("./commands/deploy.ts")).deploy,
  },
  {
    words: ["down"],
    summary: "shut machines down",
    load: async () => (await import("./commands/down.ts")).down,
  },
  {
    words: ["publish"],
    summary: "write the images of machines into the pool",
    load: async () => (await import("./commands/publish.ts")).publish,
  },
  {
    words: ["verify"],
    summary: "try candidates in QEMU and record the verdict",
    load: async () => (await import("./commands/verify.ts")).verify,
  },
  {
    words: ["promote"],
    summary: "give verified candidates the names that hypervisors attach",
    load: async () => (await import("./commands/promote.ts")).promote,
  },
  {
    words: ["status"],
    summary: "tell what runs against what is declared",
    load: async () => (await import("./commands/status.ts")).status,
  },
  {
    words: ["generations"],
    summary: "list the roots that machines can be brought back to",
    load: async () => (await import("./commands/generations.ts")).generations,
  },
  {
    words: ["roll-back"],
    summary: "give machines an older root",
    load: async () => (await import("./commands/roll-back.ts")).rollBack,
  },
  {
    words: ["adopt"],
    summary: "take over a machine that something else made",
    load: async () => (await import("./commands/adopt.ts")).adopt,
  },
  {
    words: ["prune"],
    summary: "remove images and snapshots that nothing needs",
    load: async () => (await import("./commands/prune.ts")).prune,
  },
  {
    words: ["diff"],
    summary: "compare two systems: packages, files, services",
    load: async () => (await import("./commands/diff.ts")).diff,
  },
  {
    words: ["explain"],
    summary: "tell which package or line of the program made a path",
    load: async () => (await import("./commands/explain.ts")).explain,
  },
  {
    words: ["audit"],
    summary: "tell which machines run what the channel has fixes for",
    load: async () => (await import("./commands/audit.ts")).auditCommand,
  },
  {
    words: ["console"],
    summary: "tie this terminal to a machine's serial console",
    load: async () => (await import("./commands/console.ts")).consoleCommand,
  },
  {
    words: ["ssh"],
    summary: "log in to a machine",
    load: async () => (await import("./commands/ssh.ts")).ssh,
  },
  {
    words: ["unlock"],
    summary: "take the lease away from who works on the pool",
    load: async () => (await import("./commands/unlock.ts")).unlock,
  },
  {
    words: ["system", "image"],
    summary: "build a disk image and write it to a file",
    load: async () => (await import("./commands/system-image.ts")).systemImage,
  },
  {
    words: ["system", "vm"],
    summary: "boot a system in QEMU without writing an image",
    load: async () => (await import("./commands/system-vm.ts")).systemVm,
  },
  {
    words: ["system", "build"],
    summary: "build everything an image needs, without writing one",
    load: async () => (await import("./commands/system-build.ts")).systemBuild,
  },
  {
    words: ["system", "describe"],
    summary: "tell what a system consists of",
    load: async () => (await import("./commands/system-describe.ts")).systemDescribe,
  },
  {
    words: ["system", "graph"],
    summary: "print the graph of services and what they extend",
    load: async () => (await import("./commands/system-graph.ts")).systemGraph,
  },
  {
    words: ["system", "search"],
    summary: "find services of the catalogue, with their options",
    load: async () => (await import("./commands/system-search.ts")).systemSearch,
  },
  {
    words: ["test"],
    summary: "run stories about machines that are booted in QEMU",
    load: async () => (await import("./commands/test.ts")).test,
  },
  {
    words: ["build"],
    summary: "build packages from source",
    load: async () => (await import("./commands/build.ts")).buildCommand,
  },
  {
    words: ["log"],
    summary: "print what the last build of a package said",
    load: async () => (await import("./commands/log.ts")).logCommand,
  },
  {
    words: ["hash"],
    summary: "print the SHA-256 of a file or folder, as packages want it",
    load: async () => (await import("./commands/hash.ts")).hashCommand,
  },
  {
    words: ["download"],
    summary: "fetch a file into the store, and print its hash",
    load: async () => (await import("./commands/download.ts")).downloadCommand,
  },
  {
    words: ["graph"],
    summary: "print how a package comes to be, back to signed archives",
    load: async () => (await import("./commands/graph.ts")).graphCommand,
  },
  {
    words: ["why-rebuild"],
    summary: "tell which changes make a package be built anew",
    load: async () => (await import("./commands/why-rebuild.ts")).whyRebuildCommand,
  },
  {
    words: ["refresh"],
    summary: "tell which packages have a newer version",
    load: async () => (await import("./commands/refresh.ts")).refreshCommand,
  },
  {
    words: ["edit"],
    summary: "open the editor where a package is made",
    load: async () => (await import("./commands/edit.ts")).editCommand,
  },
  {
    words: ["lint"],
    summary: "check a finished system, or packages, for what fails silently",
    load: async () => (await import("./commands/lint.ts")).lintCommand,
  },
  {
    words: ["pull"],
    summary: "take in what the archives offer now, and pin it in the lock",
    load: async () => (await import("./commands/pull.ts")).pullCommand,
  },
  {
    words: ["packages", "search"],
    summary: "find packages by name and description",
    load: async () => (await import("./commands/packages.ts")).packagesSearch,
  },
  {
    words: ["packages", "show"],
    summary: "tell what the archives say of a package",
    load: async () => (await import("./commands/packages.ts")).packagesShow,
  },
  {
    words: ["gc"],
    summary: "free what the store holds and nothing needs",
    load: async () => (await import("./commands/gc.ts")).gc,
  },
  {
    words: ["roots"],
    summary: "list what a collection never takes",
    load: async () => (await import("./commands/roots.ts")).roots,
  },
  {
    words: ["roots", "add"],
    summary: "keep an item of the store",
    load: async () => (await import("./commands/roots.ts")).rootsAdd,
  },
  {
    words: ["roots", "remove"],
    summary: "no longer keep an item of the store",
    load: async () => (await import("./commands/roots.ts")).rootsRemove,
  },
  {
    words: ["size"],
    summary: "tell what items of the store weigh, with what they need",
    load: async () => (await import("./commands/item-questions.ts")).size,
  },
  {
    words: ["referrers"],
    summary: "list the items of the store that need one",
    load: async () => (await import("./commands/item-questions.ts")).referrers,
  },
  {
    words: ["why"],
    summary: "tell what keeps an item in the store",
    load: async () => (await import("./commands/item-questions.ts")).why,
  },
  {
    words: ["serve"],
    summary: "publish the store as a binary cache over HTTP",
    load: async () => (await import("./commands/serve.ts")).serve,
  },
  {
    words: ["copy"],
    summary: "copy items to or from a folder, a server or another host",
    load: async () => (await import("./commands/copy.ts")).copy,
  },
  {
    words: ["caches"],
    summary: "list the caches that items are fetched from",
    load: async () => (await import("./commands/caches.ts")).caches,
  },
  {
    words: ["caches", "add"],
    summary: "fetch items from one more cache",
    load: async () => (await import("./commands/caches.ts")).cachesAdd,
  },
  {
    words: ["caches", "remove"],
    summary: "no longer fetch items from a cache",
    load: async () => (await import("./commands/caches.ts")).cachesRemove,
  },
  {
    words: ["challenge"],
    summary: "compare items with what others have built",
    load: async () => (await import("./commands/challenge.ts")).challenge,
  },
  {
    words: ["store", "realise"],
    summary: "fetch or build what derivations say",
    load: async () => (await import("./commands/store-realise.ts")).storeRealise,
  },
  {
    words: ["store", "verify"],
    summary: "look whether items are what was registered",
    load: async () => (await import("./commands/store.ts")).storeVerify,
  },
  {
    words: ["store", "key"],
    summary: "make a key that signs items",
    load: async () => (await import("./commands/store.ts")).storeKey,
  },
  {
    words: ["store", "closure"],
    summary: "list items with everything that they need",
    load: async () => (await import("./commands/store.ts")).storeClosure,
  },
  {
    words: ["store", "missing"],
    summary: "list those of some paths that are not in the store",
    load: async () => (await import("./commands/store.ts")).storeMissing,
  },
  {
    words: ["store", "export"],
    summary: "write items as one stream",
    load: async () => (await import("./commands/store.ts")).storeExport,
  },
  {
    words: ["store", "import"],
    summary: "take items from a stream",
    load: async () => (await import("./commands/store.ts")).storeImport,
  },
];
