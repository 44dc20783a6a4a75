import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, unitActive } from "../system/essential-profile.ts";
import { state, stateFolder } from "./state.ts";

export interface JournalOptions {
  readonly storage?: "volatile" | "persistent" | "auto";
  readonly maximumUse?: string;
  readonly forwardToConsole?: boolean;
}

const flush = "systemd-journal-flush.service";

/** systemd's journal. */
export const journal = serviceType<JournalOptions>({
  name: "journal",
  description: "systemd's journal: where it is kept and how large it grows.",
  options: {
    storage:
      "volatile keeps it in memory; persistent below /var/log/journal, which lasts when the machine has a state disk.",
    maximumUse: "Largest size: 64M, 1G.",
    forwardToConsole: "Copies every message to the console: for machines that do not boot.",
  },
  defaults: { storage: "volatile", maximumUse: "64M", forwardToConsole: false },
  extensions: [
    extend(etcFiles, ({ storage, maximumUse, forwardToConsole }) => [
      etcFile(
        "/etc/systemd/journald.conf.d/meso.conf",
        text`
          [Journal]
          Storage=${storage}
          SystemMaxUse=${maximumUse}
          RuntimeMaxUse=${maximumUse}
          ForwardToConsole=${forwardToConsole ? "yes" : "no"}
        `,
      ),
    ]),
    extend(state, ({ storage }) =>
      // It is flushed there from memory, and stays in memory while the folder is missing.
      storage === "persistent"
        ? [stateFolder("/var/log/journal", { group: "systemd-journal", mode: 0o2755, units: [flush] })]
        : [],
    ),
    extend(checks, () => [unitActive("systemd-journald.service")]),
  ],
});
