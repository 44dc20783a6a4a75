import { parseSize } from "../base/size.ts";
import { isNormalAbsolutePath } from "../language/file-system.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { programFile, text } from "../language/text.ts";
import { sysctl } from "../system/essential-boot.ts";
import { checks, commandSucceeds } from "../system/essential-profile.ts";
import { systemdUnits, unit } from "../system/essential-units.ts";
import { mountUnitName } from "./mount-units.ts";

export interface SwapFile {
  readonly path: string;
  /** `"4GiB"`. */
  readonly size: string;
}

export interface SwapOptions {
  readonly files: readonly SwapFile[];
  readonly swappiness?: number;
}

/** Disk in place of memory that is hardly used. */
export const swap = serviceType<SwapOptions>({
  name: "swap",
  description: "Files for pages of memory that are hardly used, made when they are not there or have another size.",
  options: {
    files: "Where, and how large. Not on Btrfs.",
    swappiness: "How willingly the kernel takes to it, from 0 to 200 (vm.swappiness).",
  },
  defaults: { swappiness: 10 },
  validate: ({ files, swappiness }) => [
    ...files
      .filter(({ path }) => !isNormalAbsolutePath(path) || /\s/.test(path))
      .map(({ path }) => ({
        ...{ code: "wrong-path", field: "files", what: `found ${JSON.stringify(path)}` },
        expected: "an absolute path without spaces",
      })),
    ...files
      .filter(({ size }) => parseSize(size) < 2 ** 20)
      .map(({ size }) => ({ code: "wrong-value", field: "files", what: `found ${size}`, expected: "1MiB at least" })),
    ...(swappiness >= 0 && swappiness <= 200
      ? []
      : [{ code: "wrong-value", field: "swappiness", what: `found ${swappiness}`, expected: "0 to 200" }]),
  ],
  extensions: [
    extend(sysctl, ({ swappiness }) => ({ "vm.swappiness": swappiness })),
    extend(systemdUnits, ({ files }) =>
      files.flatMap(({ path, size }) => {
        const name = mountUnitName(path, "swap");
        const maker = name.replace(/\.swap$/, "-made.service");
        return [
          unit({
            name: maker,
            text: text`
              [Unit]
              Description=Making ${path}
              DefaultDependencies=no
              RequiresMountsFor=${path}
              After=local-fs.target
              Before=${name}

              [Service]
              Type=oneshot
              RemainAfterExit=yes
              ExecStart=${makeSwapFile()} ${path} ${parseSize(size)}
            `,
          }),
          unit({
            name,
            text: text`
              [Unit]
              Description=Swap in ${path}
              DefaultDependencies=no
              Requires=${maker}
              After=${maker}
              Conflicts=umount.target
              Before=umount.target

              [Swap]
              What=${path}

              [Install]
              WantedBy=multi-user.target
            `,
          }),
        ];
      }),
    ),
    extend(checks, ({ files }) =>
      files.map(({ path }) =>
        commandSucceeds("sh", "-c", `swapon --show=NAME --noheadings --raw | grep -Fqx '${path}'`),
      ),
    ),
  ],
});

/** Written and not only promised: a file with holes is refused by the kernel. */
function makeSwapFile() {
  return programFile(
    "make-swap-file",
    text`
      #!/bin/sh
      # PATH BYTES
      set -eu
      [ ! -e "$1" ] || [ "$(stat --format=%s "$1")" != "$2" ] || exit 0
      rm -f "$1.new"
      mkdir -p "\${1%/*}/"
      (umask 077 && fallocate --length "$2" "$1.new")
      mkswap "$1.new"
      mv -T "$1.new" "$1"
    `,
  );
}
