import { posix } from "node:path";
import { failure } from "../../base/error.ts";

export interface ModuleIndex {
  /** Text of `modules.dep`. */
  readonly modulesDep: string;
  /** Text of `modules.builtin`. */
  readonly modulesBuiltin: string;
}

/**
 * Paths of the modules to load, as `modules.dep` names them (relative to the folder of the kernel version),
 * each after those it depends on. What is built into the kernel is left out.
 *
 * @throws MesoError `unknown-module` for a required name that the kernel does not have;
 *   `bad-modules-dep` for a cyclic or broken index.
 */
export function modulesInOrder(
  index: ModuleIndex,
  names: { required: readonly string[]; optional: readonly string[] },
) {
  const dependencies = parseModulesDep(index.modulesDep);
  const byName = new Map([...dependencies.keys()].map((path) => [moduleName(path), path]));
  const builtIn = new Set(index.modulesBuiltin.split("\n").filter(Boolean).map(moduleName));
  const ordered: string[] = [];
  const state = new Map<string, "visiting" | "done">();
  const visit = (path: string): void => {
    if (state.get(path) === "done") return;
    if (state.get(path) === "visiting") throw bad(`${path} depends on itself`);
    state.set(path, "visiting");
    const needed = dependencies.get(path);
    if (!needed) throw bad(`${path} is needed and not listed`);
    needed.forEach(visit);
    state.set(path, "done");
    ordered.push(path);
  };
  for (const name of [...names.required, ...names.optional]) {
    const path = byName.get(moduleName(name));
    if (path) visit(path);
    else if (names.required.includes(name) && !builtIn.has(moduleName(name))) {
      throw failure("unknown-module", `the kernel has no module "${name}"`, {
        field: "initrdModules",
        expected: "the name of a module in the kernel's package, as modprobe knows it",
      });
    }
  }
  return ordered;
}

/** `kernel/drivers/block/virtio_blk.ko.xz` is `virtio_blk`; hyphens and underscores are the same to modprobe. */
export function moduleName(path: string): string {
  return posix
    .basename(path)
    .replace(/\.ko(\.[a-z0-9]+)?$/, "")
    .replaceAll("-", "_");
}

/** Lines of "path: path path" (modules.dep(5)). */
function parseModulesDep(text: string): Map<string, string[]> {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      const path = line.slice(0, colon);
      if (colon <= 0 || path.startsWith("/") || path.split("/").includes(".."))
        throw bad(`unexpected line "${line.slice(0, 200)}"`);
      return [
        path,
        line
          .slice(colon + 1)
          .split(" ")
          .filter(Boolean),
      ];
    }),
  );
}

function bad(what: string) {
  return failure("bad-modules-dep", `modules.dep: ${what}`, { expected: "what depmod writes" });
}
