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
    words: ["lint"],
    summary: "check a finished system for what fails silently",
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
];
