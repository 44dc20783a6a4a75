import { extend, serviceType } from "../language/service-type.ts";
import { file, text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";

/** Files on the machine, in PEM form; the key's is never part of an image. */
export interface JournalTls {
  readonly certificate: string;
  readonly key: string;
  /** By which the other side is known. */
  readonly authority: string;
}

export interface JournalRemoteOptions {
  readonly port?: number;
  readonly clients?: readonly string[];
  readonly tls?: JournalTls | undefined;
  readonly maximumUse?: string;
}

/** Journals of other machines, in a file for each: `journalctl -D /var/log/journal/remote`. */
export const journalRemote = serviceType<JournalRemoteOptions>({
  name: "journal-remote",
  description: "Receives the journals of other machines, and keeps them in /var/log/journal/remote.",
  options: {
    port: "TCP port to listen on.",
    clients: "Addresses and networks that may send; an empty list means all.",
    tls: "Files of certificate, key and authority, readable by systemd-journal-remote: only known machines may send.",
    maximumUse: "What all journals together may grow to: 1G.",
  },
  defaults: { port: 19532, clients: [], tls: undefined, maximumUse: "1G" },
  extensions: [
    extend(profile, () => ["systemd-journal-remote"]),
    extend(state, () => [
      stateFolder("/var/log/journal/remote", {
        ...{ user: "systemd-journal-remote", units: ["systemd-journal-remote.service"] },
      }),
    ]),
    extend(etcFiles, ({ tls, maximumUse }) => [
      etcFile(
        "/etc/systemd/journal-remote.conf.d/meso.conf",
        text`
          [Remote]
          SplitMode=host
          MaxUse=${maximumUse}
          ${tls ? tlsLines(tls) : ""}
        `,
      ),
    ]),
    extend(systemdUnits, ({ port, tls }) => [
      enableUnit("systemd-journal-remote.socket"),
      dropIn("systemd-journal-remote.socket", "meso", { text: text`[Socket]\nListenStream=\nListenStream=${port}\n` }),
      dropIn("systemd-journal-remote.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=${file("systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote")} --listen-${tls ? "https" : "http"}=-3 --output=/var/log/journal/remote/
        `,
      }),
    ]),
    extend(firewall, ({ port, clients }) => [openPort(port, { from: clients, service: "journals" })]),
    extend(checks, ({ port }) => [unitActive("systemd-journal-remote.socket"), portAnswers(port)]),
  ],
});

/** Lines of journal-remote.conf(5) and journal-upload.conf(5). */
export function tlsLines({ certificate, key, authority }: JournalTls): string[] {
  return [`ServerKeyFile=${key}`, `ServerCertificateFile=${certificate}`, `TrustedCertificateFile=${authority}`];
}
