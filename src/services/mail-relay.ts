import { isIP } from "node:net";
import { isAddressWithPrefix } from "../language/address.ts";
import type { Complaint } from "../language/complaint.ts";
import type { Endpoint } from "../language/endpoint.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { bin, programFile, type Text, text } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, commandSucceeds, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";

export interface MailRelayOptions {
  readonly to: Endpoint<"smtp"> | { readonly host: string; readonly port?: number };
  readonly domain: string;
  readonly administrator?: string | undefined;
  readonly clients?: readonly string[];
  readonly encryption?: "when-offered" | "required" | "certified";
  readonly login?: { readonly user: string; readonly password: Secret } | undefined;
  readonly largestMessage?: number;
  readonly extraConfiguration?: string;
}

/**
 * Mail of this machine, and of others, on its way to a server that knows what to do with it.
 *
 * By Postfix: nullmailer takes mail of its own machine only, msmtp keeps none while the server is away. Nothing is
 * delivered here, and no table has to be compiled.
 */
export const mailRelay = serviceType<MailRelayOptions>({
  name: "mail-relay",
  description:
    "Passes mail of this machine, and of networks that may, on to a mail server; keeps it while that is away.",
  options: {
    to: "The mail server: an endpoint, or its name.",
    domain: "What stands behind the @ of senders who say only a name: example.org.",
    administrator: "Who gets what is for root, postmaster and other accounts of machines.",
    clients: "Networks whose machines may send by this one; an empty list means that nobody else may.",
    encryption: "Of what is sent on: when-offered, required, or certified, by an authority that the machine trusts.",
    login: "Who the machine is for the mail server, where it wants to know; the password is a secret.",
    largestMessage: "In bytes.",
    extraConfiguration: "Further lines of postconf(5).",
  },
  defaults: {
    administrator: undefined,
    clients: [],
    encryption: "when-offered",
    login: undefined,
    largestMessage: 20_480_000,
    extraConfiguration: "",
  },
  validate: mistakes,
  extensions: [
    extend(profile, ({ login }) => ["postfix", "ca-certificates", ...(login ? ["libsasl2-modules"] : [])]),
    extend(state, () => [stateFolder("/var/spool/postfix", { units: ["postfix.service"] })]),
    extend(etcFiles, (options, { hostName }) => [
      etcFile("/etc/postfix/main.cf", mainCf(options, hostName)),
      etcFile("/etc/postfix/master.cf", masterCf(), { replacesPackageFile: true }),
      etcFile("/etc/mailname", `${options.domain}\n`),
    ]),
    extend(secretFiles, ({ to, login }) =>
      login
        ? [
            secretFile({
              ...{ path: passwordFile, content: `${nextHop(to)} ${login.user}:@PASSWORD@\n` },
              ...{ secrets: { PASSWORD: login.password }, units: ["postfix.service"] },
            }),
          ]
        : [],
    ),
    extend(systemdUnits, () => [
      enableUnit("postfix.service"),
      dropIn("postfix.service", "meso", {
        // Debian's check looks at every file of the package, and fills a second root folder.
        text: text`[Service]\nExecStartPre=\nExecStartPre=+${queueFolders}\nTimeoutStartSec=5min\n`,
      }),
    ]),
    extend(configurationChecks, () => [
      {
        // postconf ends with 0 whatever it reads, and says what it knows nothing of.
        name: "postconf",
        program: bin("dash", "sh"),
        arguments: ["-c", 'said=$(postconf -n 2>&1 >/dev/null) && [ -z "$said" ] || { echo "$said" >&2; exit 1; }'],
        reads: ["/etc/postfix"],
        loads: ["/usr/sbin/postconf", "/usr/lib/postfix"],
      },
    ]),
    extend(firewall, ({ clients }) => (clients.length > 0 ? [openPort(25, { from: clients, service: "mail" })] : [])),
    extend(checks, () => [unitActive("postfix.service"), portAnswers(25), commandSucceeds("postqueue", "-p")]),
  ],
});

/** As /etc/postfix/postfix-files has them. */
const queueFolders = programFile(
  "queue-folders",
  text`
    #!/bin/sh
    set -eu
    umask 022
    cd /var/spool/postfix
    install -d -m 755 pid
    install -d -o postfix -m 700 active bounce corrupt defer deferred flush hold incoming private saved trace
    install -d -o postfix -g postdrop -m 730 maildrop
    install -d -o postfix -g postdrop -m 710 public
  `,
);

const passwordFile = "/run/postfix-secrets/passwords";

const encryptions = { "when-offered": "may", required: "encrypt", certified: "secure" } as const;

function mistakes({ to, domain, clients, encryption, administrator }: Required<MailRelayOptions>): Complaint[] {
  const isName = (name: string) => /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(name);
  return [
    ...[domain, ...("kind" in to ? [] : [to.host])]
      .filter((name) => !isName(name) && isIP(name) === 0)
      .map((name) => ({ code: "wrong-name", field: "domain", what: `found ${JSON.stringify(name)}` })),
    ...clients
      .filter((network) => isIP(network) === 0 && !isAddressWithPrefix(network))
      .map((network) => ({
        ...{ code: "wrong-address", field: "clients", what: `found ${JSON.stringify(network)}` },
        expected: "an address or a network: 10.0.0.0/8",
      })),
    ...(Object.hasOwn(encryptions, encryption)
      ? []
      : [
          {
            ...{ code: "wrong-value", field: "encryption", what: `found ${JSON.stringify(encryption)}` },
            expected: Object.keys(encryptions).join(", "),
          },
        ]),
    ...(administrator === undefined || /^[^\s@{}]+@[^\s@{}]+$/.test(administrator)
      ? []
      : [{ code: "wrong-name", field: "administrator", what: `found ${JSON.stringify(administrator)}` }]),
  ];
}

/** In brackets nobody asks for the domain's mail servers: the machine itself is meant. */
function nextHop(to: MailRelayOptions["to"]): string {
  const name = "kind" in to ? (to.address.includes(":") ? `ipv6:${to.address}` : to.address) : to.host;
  return `[${name}]:${to.port ?? 25}`;
}

function mainCf(options: Required<MailRelayOptions>, hostName: string): Text {
  const { to, domain, administrator, clients, encryption, login, largestMessage, extraConfiguration } = options;
  const accounts = ["root", "postmaster", "mailer-daemon", "abuse"];
  const networks = ["127.0.0.0/8", "[::1]/128", ...clients.map(bracketed).sort()];
  return text`
    compatibility_level = 3.9
    myhostname = ${hostName.includes(".") ? hostName : `${hostName}.${domain}`}
    myorigin = ${domain}
    mydestination =
    local_recipient_maps =
    local_transport = error:nobody has a mailbox on this machine
    relayhost = ${nextHop(to)}
    inet_interfaces = ${clients.length > 0 ? "all" : "loopback-only"}
    inet_protocols = all
    mynetworks = ${networks.join(" ")}
    smtpd_relay_restrictions = permit_mynetworks, reject
    smtpd_banner = $myhostname ESMTP
    disable_vrfy_command = yes
    message_size_limit = ${largestMessage}
    mailbox_size_limit = 0
    alias_maps =
    alias_database =
    ${administrator === undefined ? "" : `virtual_alias_maps = inline:{ ${accounts.map((name) => `{ ${name} = ${administrator} }`).join(", ")} }`}
    smtp_tls_security_level = ${encryptions[encryption]}
    smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt
    ${login ? ["smtp_sasl_auth_enable = yes", `smtp_sasl_password_maps = texthash:${passwordFile}`, `smtp_sasl_security_options = ${encryption === "when-offered" ? "noanonymous, noplaintext" : "noanonymous"}`, "smtp_sasl_tls_security_options = noanonymous"] : ""}
    ${extraConfiguration}
  `;
}

/** What a relay needs of Debian's, without a second root folder. */
function masterCf(): Text {
  const services = [
    "smtp inet n - n - - smtpd",
    "pickup unix n - n 60 1 pickup",
    "cleanup unix n - n - 0 cleanup",
    "qmgr unix n - n 300 1 qmgr",
    "tlsmgr unix - - n 1000? 1 tlsmgr",
    "rewrite unix - - n - - trivial-rewrite",
    "bounce unix - - n - 0 bounce",
    "defer unix - - n - 0 bounce",
    "trace unix - - n - 0 bounce",
    "verify unix - - n - 1 verify",
    "flush unix n - n 1000? 0 flush",
    "proxymap unix - - n - - proxymap",
    "smtp unix - - n - - smtp",
    "relay unix - - n - - smtp",
    "showq unix n - n - - showq",
    "error unix - - n - - error",
    "retry unix - - n - - error",
    "discard unix - - n - - discard",
    "anvil unix - - n - 1 anvil",
    "scache unix - - n - 1 scache",
    "postlog unix-dgram n - n - 1 postlogd",
  ];
  return text`${services}\n`;
}

function bracketed(network: string): string {
  const [address, prefix] = network.split("/");
  return address?.includes(":") ? `[${address}]${prefix === undefined ? "" : `/${prefix}`}` : network;
}
