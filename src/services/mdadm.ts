import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, commandSucceeds, profile } from "../system/essential-profile.ts";
import { enableUnit, systemdUnits } from "../system/essential-units.ts";

/** Disks that are one, and outlive the loss of some. It was made by hand: nothing is ever created here. */
export interface MdArray {
  /** It appears as `/dev/md/<name>`. */
  readonly name: string;
  /** As `mdadm --detail` says it: four groups of eight digits. */
  readonly uuid: string;
}

export interface MdadmOptions {
  readonly arrays: readonly MdArray[];
  readonly mailTo?: string;
  readonly program?: string;
  readonly monthlyCheck?: boolean;
}

/** Arrays of disks by the kernel (Linux software RAID), beside the disk that the system starts from. */
export const mdadm = serviceType<MdadmOptions>({
  name: "mdadm",
  description: "Arrays of disks (software RAID), assembled when their disks appear, watched, and read through monthly.",
  options: {
    arrays: "Arrays by name and UUID; a machine is only healthy while none of their disks is missing.",
    mailTo: "Who is told when a disk fails.",
    program: 'A program that is told too, with the event, the array and the disk; "" for none.',
    monthlyCheck: "Whether all disks are read through once a month, so that errors are found while there is a copy.",
  },
  defaults: { mailTo: "root", program: "", monthlyCheck: true },
  validate: ({ arrays }) => [
    ...arrays
      .filter(({ name }) => !/^[A-Za-z0-9_.-]{1,32}$/.test(name))
      .map(({ name }) => ({
        ...{ code: "wrong-name", field: "arrays", what: `found ${JSON.stringify(name)}` },
        expected: "letters, digits, _ . and -, 32 at most",
      })),
    ...arrays
      .filter(({ uuid }) => !/^[0-9a-f]{8}(:[0-9a-f]{8}){3}$/.test(uuid))
      .map(({ name, uuid }) => ({
        ...{ code: "wrong-value", field: "arrays", what: `${name} has the UUID ${JSON.stringify(uuid)}` },
        expected: "four groups of eight digits with colons between them, as mdadm --detail says it",
      })),
  ],
  extensions: [
    extend(profile, () => ["mdadm"]),
    extend(etcFiles, ({ arrays, mailTo, program }) => [
      etcFile(
        "/etc/mdadm/mdadm.conf",
        text`
          HOMEHOST <ignore>
          MAILADDR ${mailTo}
          ${program === "" ? "" : `PROGRAM ${program}`}
          ${arrays.map(({ name, uuid }) => `ARRAY /dev/md/${name} UUID=${uuid}`)}
          # What is not named here is left alone.
          AUTO -all
        `,
        { replacesPackageFile: true },
      ),
    ]),
    extend(systemdUnits, ({ monthlyCheck }) =>
      monthlyCheck ? [enableUnit("mdcheck_start.timer"), enableUnit("mdcheck_continue.timer")] : [],
    ),
    // Ends with 1 for one that lacks a disk.
    extend(checks, ({ arrays }) =>
      arrays.map(({ name }) => commandSucceeds("mdadm", "--detail", "--test", `/dev/md/${name}`)),
    ),
  ],
});
