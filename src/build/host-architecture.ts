import { arch } from "node:process";

/** Debian's name of the architecture that this process runs on. */
export function hostArchitecture(): string {
  const names: Partial<Record<typeof arch, string>> = {
    x64: "amd64",
    arm64: "arm64",
    riscv64: "riscv64",
    ppc64: "ppc64el",
  };
  return names[arch] ?? arch;
}
