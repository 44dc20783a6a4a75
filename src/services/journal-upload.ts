import type { Endpoint } from "../language/endpoint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { type JournalTls, tlsLines } from "./journal-remote.ts";

export interface JournalUploadOptions {
  readonly to: Endpoint<"journal-remote">;
  readonly tls?: JournalTls | undefined;
}

/** This machine's journal, sent to another one as it is written. */
export const journalUpload = serviceType<JournalUploadOptions>({
  name: "journal-upload",
  description: "Sends this machine's journal to another one; what could not be sent is, once the other is back.",
  options: {
    to: "The machine that receives it, with the service journal-remote.",
    tls: "Files of certificate, key and authority, readable by systemd-journal-upload; where the other wants them.",
  },
  defaults: { tls: undefined },
  extensions: [
    extend(profile, () => ["systemd-journal-remote"]),
    extend(etcFiles, ({ to, tls }) => {
      const { host, address, port } = to;
      const name = tls ? host : address.includes(":") ? `[${address}]` : address;
      return [
        etcFile(
          "/etc/systemd/journal-upload.conf.d/meso.conf",
          text`
            [Upload]
            URL=${tls ? "https" : "http"}://${name}:${port}
            ${tls ? tlsLines(tls) : ""}
          `,
        ),
      ];
    }),
    extend(systemdUnits, () => [
      enableUnit("systemd-journal-upload.service"),
      dropIn("systemd-journal-upload.service", "meso", {
        // The other may be away for long; its coming back is not an operator's errand.
        text: text`
          [Unit]
          StartLimitIntervalSec=0

          [Service]
          Restart=always
          RestartSec=1s
        `,
      }),
    ]),
    extend(checks, () => [unitActive("systemd-journal-upload.service")]),
  ],
});
