import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, unitActive } from "../system/essential-profile.ts";

export interface JournalOptions {
  readonly storage?: "volatile" | "persistent" | "auto";
  readonly maximumUse?: string;
  readonly forwardToConsole?: boolean;
}

/** systemd's journal. */
export const journal = serviceType<JournalOptions>({
  name: "journal",
  description: "systemd's journal: where it is kept and how large it grows.",
  options: {
    storage: "volatile keeps it in memory; persistent below /var/log/journal, for machines with a state volume there.",
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
    extend(checks, () => [unitActive("systemd-journald.service")]),
  ],
});
