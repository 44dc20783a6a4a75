import { aList, aNumber, aString } from "./check.ts";
import type { RecordOf } from "./record.ts";
import { recordType } from "./record.ts";

interface GrubFields {
  /** Disks that carry the boot code: `/dev/sda`. An image boots under BIOS and UEFI whatever stands here. */
  targets: readonly string[];
  /** Seconds that the menu waits. */
  timeout: number;
}

export type Grub = RecordOf<GrubFields, never>;
export type Bootloader = Grub;

export const grub = recordType<GrubFields, never>({
  kind: "grub",
  defaults: () => ({ targets: [], timeout: 1 }),
  fields: {
    targets: aList(aString("a device file: /dev/sda", (path) => /^\/dev\/[^\s]+$/.test(path))),
    timeout: aNumber(0, 3600),
  },
});
