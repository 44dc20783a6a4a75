import { extend, serviceType } from "../language/service-type.ts";
import { sbin, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";

export interface RsyslogOptions {
  readonly rules?: readonly string[];
  readonly forwardTo?: readonly RsyslogTarget[];
  readonly listen?: { readonly tcp?: number; readonly udp?: number };
  readonly extraConfiguration?: string;
}

export interface RsyslogTarget {
  readonly host: string;
  readonly port?: number;
  readonly protocol?: "tcp" | "udp";
  /** What is sent; everything unless said otherwise. */
  readonly selector?: string;
}

/** System logs: to files, to other machines, from other machines. */
export const rsyslog = serviceType<RsyslogOptions>({
  name: "rsyslog",
  description: "Writes system logs to files, forwards them, or receives those of other machines.",
  options: {
    rules: "Selector and action, a line each, as in rsyslog.conf(5).",
    forwardTo: "Machines that get a copy; over TCP with a queue on disk, so that none is lost while they are away.",
    listen: "Ports to receive other machines' logs on.",
    extraConfiguration: "Further configuration, in rsyslog's own language.",
  },
  defaults: {
    rules: [
      "auth,authpriv.*                 /var/log/auth.log",
      "*.*;auth,authpriv.none          -/var/log/syslog",
      "kern.*                          -/var/log/kern.log",
      "*.emerg                         :omusrmsg:*",
    ],
    forwardTo: [],
    listen: {},
    extraConfiguration: "",
  },
  extensions: [
    extend(profile, () => ["rsyslog", "logrotate"]),
    extend(etcFiles, (options) => [etcFile("/etc/rsyslog.conf", rsyslogConf(options), { replacesPackageFile: true })]),
    extend(systemdUnits, (options) => [
      enableUnit("rsyslog.service"),
      enableUnit("logrotate.timer"),
      dropIn("rsyslog.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=${sbin("rsyslog", "rsyslogd")} -n -iNONE -f ${rsyslogConf(options)}
        `,
      }),
    ]),
    extend(configurationChecks, () => [
      {
        name: "rsyslogd",
        program: sbin("rsyslog", "rsyslogd"),
        arguments: ["-N1", "-f", "/etc/rsyslog.conf"],
        reads: ["/etc/rsyslog.conf", "/etc/rsyslog.d"],
        loads: ["/usr/lib/{multiarch}/rsyslog"],
        folders: ["/var/spool/rsyslog"],
      },
    ]),
    extend(firewall, ({ listen: { tcp, udp } }) => [
      ...(tcp === undefined ? [] : [openPort(tcp, { service: "system logs" })]),
      ...(udp === undefined ? [] : [openPort(udp, { protocol: "udp", service: "system logs" })]),
    ]),
    extend(checks, () => [unitActive("rsyslog.service")]),
  ],
});

function rsyslogConf(options: Required<RsyslogOptions>) {
  const { tcp, udp } = options.listen;
  return textFile(
    "rsyslog.conf",
    text`
      module(load="imuxsock")
      module(load="imklog")
      ${tcp === undefined ? "" : `module(load="imtcp")\ninput(type="imtcp" port="${tcp}")`}
      ${udp === undefined ? "" : `module(load="imudp")\ninput(type="imudp" port="${udp}")`}
      $FileOwner root
      $FileGroup adm
      $FileCreateMode 0640
      $DirCreateMode 0755
      $Umask 0022
      $WorkDirectory /var/spool/rsyslog
      $IncludeConfig /etc/rsyslog.d/*.conf
      ${options.rules}
      ${options.forwardTo.map(forwardAction)}
      ${options.extraConfiguration}
    `,
  );
}

function forwardAction({ host, port = 514, protocol = "tcp", selector = "*.*" }: RsyslogTarget): string {
  // The queue keeps messages while the target is away: disk-assisted, without end of retrying.
  const queue =
    protocol === "tcp"
      ? ` queue.type="LinkedList" queue.filename="forward_${host}_${port}" queue.maxDiskSpace="256m" queue.saveOnShutdown="on" action.resumeRetryCount="-1"`
      : "";
  return `${selector} action(type="omfwd" target="${host}" port="${port}" protocol="${protocol}"${queue})`;
}
