import { extend, serviceType } from "../language/service-type.ts";
import { bin, sbin, type Text, text } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { type PamRule, pam } from "../system/essential-login.ts";
import { nameServiceSwitch } from "../system/essential-names.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import {
  homesRule,
  type LdapClientOptions,
  ldapClientDefaults,
  ldapClientDescriptions,
  ldapClientMistakes,
  ldapUris,
  startsTls,
} from "./ldap-client.ts";
import { openssh } from "./openssh.ts";

export interface SssdOptions extends LdapClientOptions {
  readonly allowGroups?: readonly string[];
  readonly rememberPasswords?: boolean;
  readonly extraConfiguration?: string;
}

/** People and groups of a directory on this machine, who may log in while the directory is away. */
export const sssd = serviceType<SssdOptions>({
  name: "sssd",
  description:
    "People and groups of an LDAP directory (SSSD): they are known, log in with SSH keys and passwords, and are remembered while the directory is away.",
  options: {
    ...ldapClientDescriptions,
    authority: `${ldapClientDescriptions.authority} SSSD sends no password without.`,
    allowGroups: "Groups whose members may log in; an empty list means everybody.",
    rememberPasswords: "Whether who has logged in once may do so again while the directory is away.",
    extraConfiguration: "Further lines of the domain in sssd.conf(5) and sssd-ldap(5).",
  },
  defaults: { ...ldapClientDefaults, allowGroups: [], rememberPasswords: true, extraConfiguration: "" },
  validate: ldapClientMistakes,
  extensions: [
    extend(profile, () => ["sssd-ldap", "sssd-tools", "libnss-sss", "libpam-sss"]),
    extend(nameServiceSwitch, () =>
      ["passwd", "group", "shadow"].map((database) => ({ database, source: "sss", priority: 200 })),
    ),
    extend(pam, ({ homes }) => [...pamRules, ...(homes ? [homesRule] : [])]),
    extend(openssh, ({ sshKeys }) => (sshKeys ? { lines: keysLines } : {})),
    extend(etcFiles, (options) => [etcFile("/etc/sssd/sssd.conf", sssdConf(options, "judged"), { mode: 0o600 })]),
    extend(secretFiles, (options) =>
      options.bind
        ? [
            secretFile({
              ...{ path: hiddenConf, content: sssdConf(options, "running") },
              ...{ secrets: { PASSWORD: options.bind.password }, units: ["sssd.service"] },
            }),
          ]
        : [],
    ),
    extend(systemdUnits, ({ bind }) => [
      enableUnit("sssd.service"),
      dropIn("sssd.service", "meso", {
        text: text`
          [Unit]
          Wants=network-online.target
          After=network-online.target

          [Service]
          Environment=DEBUG_LOGGER=--logger=journald
          ${bind ? text`ExecStart=\nExecStart=${sbin("sssd-common", "sssd")} -i --logger=journald --config ${hiddenConf}` : ""}
        `,
      }),
    ]),
    extend(configurationChecks, () => [
      {
        name: "sssctl",
        program: sbin("sssd-tools", "sssctl"),
        arguments: ["config-check"],
        reads: ["/etc/sssd", "/usr/share/sssd"],
        loads: ["/usr/lib/{multiarch}/sssd"],
        folders: ["/var/log/sssd", "/var/lib/sss/db", "/var/lib/sss/pubconf", "/var/lib/sss/mc"],
        asRoot: true,
      },
    ]),
    extend(checks, () => [unitActive("sssd.service")]),
  ],
});

const hiddenConf = "/run/sssd-secrets/sssd.conf";

const keysLines: readonly Text[] = [
  text`AuthorizedKeysCommand ${bin("sssd-common", "sss_ssh_authorizedkeys")} %u`,
  text`AuthorizedKeysCommandUser nobody`,
];

/** What libpam-sss brings in /usr/share/pam-configs/sss. */
const pamRules: readonly PamRule[] = [
  {
    ...{ stack: "auth", block: "primary", priority: 128, control: "[success=end default=ignore]" },
    module: "pam_sss.so use_first_pass",
    initialModule: "pam_sss.so forward_pass",
  },
  { stack: "account", block: "additional", priority: 128, control: "sufficient", module: "pam_localuser.so" },
  {
    ...{ stack: "account", block: "additional", priority: 127, module: "pam_sss.so" },
    control: "[default=bad success=ok user_unknown=ignore]",
  },
  { stack: "session", block: "additional", priority: 128, control: "optional", module: "pam_sss.so" },
  {
    ...{ stack: "password", block: "primary", priority: 128, control: "sufficient" },
    module: "pam_sss.so use_authtok",
    initialModule: "pam_sss.so",
  },
];

/** `judged` is how it looks without its password. */
function sssdConf(options: Required<SssdOptions>, kind: "running" | "judged"): Text {
  const { base, bind, authority, allowGroups, rememberPasswords, sshKeys } = options;
  return text`
    [sssd]
    services = nss, pam${sshKeys ? ", ssh" : ""}
    domains = directory

    [domain/directory]
    id_provider = ldap
    auth_provider = ldap
    chpass_provider = ldap
    sudo_provider = none
    autofs_provider = none
    selinux_provider = none
    hostid_provider = none
    subdomains_provider = none
    ${allowGroups.length > 0 ? `access_provider = simple\nsimple_allow_groups = ${allowGroups.join(", ")}` : "access_provider = permit"}
    ldap_uri = ${ldapUris(options).join(", ")}
    ldap_search_base = ${base}
    ldap_schema = rfc2307
    ${bind ? `ldap_default_bind_dn = ${bind.dn}` : ""}
    ${bind && kind === "running" ? "ldap_default_authtok = @PASSWORD@" : ""}
    ${startsTls(options) ? "ldap_id_use_start_tls = true" : ""}
    ${authority === undefined ? "" : `ldap_tls_cacert = ${authority}\nldap_tls_reqcert = demand`}
    cache_credentials = ${rememberPasswords ? "true" : "false"}
    enumerate = false
    min_id = 1000
    ${options.extraConfiguration}
  `;
}
