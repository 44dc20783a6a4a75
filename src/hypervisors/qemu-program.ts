import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { failure, MesoError, type Problem } from "../base/error.ts";

/** A path of `qemu-system-…` for Debian's name of an architecture. @throws MesoError `qemu-missing`. */
export function findQemu(architecture: string, path = process.env.PATH ?? "/usr/bin:/bin"): string {
  const known = programs[architecture];
  if (!known) {
    throw failure("qemu-missing", `machines of architecture "${architecture}" cannot be run here`, {
      expected: `one of ${Object.keys(programs).join(", ")}`,
    });
  }
  const found = findProgram(known.program, path);
  if (found) return found;
  throw failure("qemu-missing", `${known.program} is not installed`, { hint: `apt-get install ${known.package}` });
}

/** The first executable file of that name in PATH. */
export function findProgram(name: string, path = process.env.PATH ?? "/usr/bin:/bin"): string | undefined {
  return path
    .split(":")
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

export interface UefiFirmware {
  readonly code: string;
  /** A template for the machine's own variables. */
  readonly variables: string;
}

/** The UEFI firmware that Debian ships for QEMU. @throws MesoError `firmware-missing`. */
export function findUefi(architecture: string): UefiFirmware {
  const known = firmwares[architecture];
  const found = known?.files.find(({ code, variables }) => existsSync(code) && existsSync(variables));
  if (found) return found;
  throw failure("firmware-missing", `no UEFI firmware for ${architecture} is installed`, {
    ...(known && { hint: `apt-get install ${known.package}` }),
  });
}

/** JSON for -netdev and its `stream` came with 7.2, which Debian 12 has. */
const oldest = [7, 2] as const;

/** What is missing to run machines of this host's own architecture. */
export function checkQemu(): readonly Problem[] {
  const architecture = ({ x64: "amd64", arm64: "arm64", riscv64: "riscv64" } as Record<string, string>)[arch()];
  try {
    const program = findQemu(architecture ?? arch());
    const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8", timeout: 10_000 });
    const [, major, minor] = /version (\d+)\.(\d+)/.exec(stdout ?? "") ?? [];
    const isNew = Number(major) > oldest[0] || (Number(major) === oldest[0] && Number(minor) >= oldest[1]);
    if (isNew) return [];
    const found = major === undefined ? "does not tell its version" : `is of version ${major}.${minor}`;
    return [{ code: "qemu-missing", what: `${program} ${found}`, expected: `${oldest.join(".")} or newer` }];
  } catch (error) {
    if (error instanceof MesoError) return error.problems;
    throw error;
  }
}

const programs: Readonly<Record<string, { program: string; package: string }>> = {
  amd64: { program: "qemu-system-x86_64", package: "qemu-system-x86" },
  arm64: { program: "qemu-system-aarch64", package: "qemu-system-arm" },
  riscv64: { program: "qemu-system-riscv64", package: "qemu-system-misc" },
};

const ovmf = (suffix: string) => ({
  code: `/usr/share/OVMF/OVMF_CODE${suffix}.fd`,
  variables: `/usr/share/OVMF/OVMF_VARS${suffix}.fd`,
});

const firmwares: Readonly<Record<string, { package: string; files: readonly UefiFirmware[] }>> = {
  amd64: { package: "ovmf", files: [ovmf("_4M"), ovmf("")] },
  arm64: {
    package: "qemu-efi-aarch64",
    files: [{ code: "/usr/share/AAVMF/AAVMF_CODE.fd", variables: "/usr/share/AAVMF/AAVMF_VARS.fd" }],
  },
  riscv64: {
    package: "qemu-efi-riscv64",
    files: [
      {
        code: "/usr/share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd",
        variables: "/usr/share/qemu-efi-riscv64/RISCV_VIRT_VARS.fd",
      },
    ],
  },
};
