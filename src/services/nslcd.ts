import { extend, serviceType } from "../language/service-type.ts";
import { bin, type GeneratedFile, programFile, sbin, type Text, text, textFile } from "../language/text.ts";
import { tmpfiles } from "../system/essential-boot.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { etcFiles, symlink } from "../system/essential-files.ts";
import { type PamRule, pam } from "../system/essential-login.ts";
import { nameServiceSwitch } from "../system/essential-names.ts";
import { checks, commandSucceeds, profile, unitActive } from "../system/essential-profile.ts";
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

export interface NslcdOptions extends LdapClientOptions {
  readonly extraConfiguration?: string;
}

/** People and groups of a directory on this machine, by a small daemon. */
export const nslcd = serviceType<NslcdOptions>({
  name: "nslcd",
  description:
    "People and groups of an LDAP directory (nslcd): they are known, log in with their passwords and SSH keys.",
  options: { ...ldapClientDescriptions, extraConfiguration: "Further lines of nslcd.conf(5)." },
  defaults: { ...ldapClientDefaults, extraConfiguration: "" },
  validate: ldapClientMistakes,
  extensions: [
    extend(profile, ({ sshKeys }) => ["nslcd", "libnss-ldapd", "libpam-ldapd", ...(sshKeys ? ["ldap-utils"] : [])]),
    extend(nameServiceSwitch, () =>
      ["passwd", "group", "shadow"].map((database) => ({ database, source: "ldap", priority: 200 })),
    ),
    extend(pam, ({ homes }) => [...pamRules, ...(homes ? [homesRule] : [])]),
    extend(openssh, (options) => (options.sshKeys ? { lines: keysLines(options) } : {})),
    extend(tmpfiles, () => ["d /run/nslcd 0755 nslcd nslcd -"]),
    extend(secretFiles, ({ bind, sshKeys, ...options }) => {
      if (!bind) return [];
      const secrets = { PASSWORD: bind.password };
      const common = { secrets, user: "nslcd", units: ["nslcd.service", ...(sshKeys ? ["ssh.service"] : [])] };
      return [
        secretFile({ ...common, path: hiddenConf, content: nslcdConf({ ...options, bind, sshKeys }, "running") }),
        ...(sshKeys ? [secretFile({ ...common, path: hiddenPassword, content: "@PASSWORD@" })] : []),
      ];
    }),
    extend(etcFiles, (options) => [symlink("/etc/nslcd.conf", confOf(options))]),
    extend(systemdUnits, (options) => [
      enableUnit("nslcd.service"),
      dropIn("nslcd.service", "meso", {
        text: text`
          [Service]
          Type=exec
          PIDFile=
          ExecStart=
          ExecStart=${sbin("nslcd", "nslcd")} --nofork --config ${confOf(options)}
          ExecStop=
          Restart=on-failure
        `,
      }),
    ]),
    extend(configurationChecks, (options) => [
      {
        name: "nslcd",
        program: sbin("nslcd", "nslcd"),
        arguments: ["--test", "--config", textFile("nslcd.conf", nslcdConf(options, "judged"))],
        loads: ["/usr/lib/{multiarch}/libnss_ldap.so.2"],
        folders: ["/run/nslcd"],
        asRoot: true,
      },
    ]),
    extend(checks, () => [unitActive("nslcd.service"), commandSucceeds("nslcd", "--check")]),
  ],
});

/** Also where people look for it. */
function confOf(options: Required<NslcdOptions>): string | GeneratedFile {
  return options.bind ? hiddenConf : textFile("nslcd.conf", nslcdConf(options, "running"));
}

const hiddenConf = "/run/nslcd-secrets/nslcd.conf";
const hiddenPassword = "/run/nslcd-secrets/password";

/** What libpam-ldapd brings in /usr/share/pam-configs/ldap. */
const pamRules: readonly PamRule[] = [
  {
    ...{ stack: "auth", block: "primary", priority: 128, control: "[success=end default=ignore]" },
    module: "pam_ldap.so minimum_uid=1000 use_first_pass",
    initialModule: "pam_ldap.so minimum_uid=1000",
  },
  {
    ...{ stack: "account", block: "additional", priority: 128, module: "pam_ldap.so minimum_uid=1000" },
    control: "[success=ok new_authtok_reqd=done ignore=ignore user_unknown=ignore authinfo_unavail=ignore default=bad]",
  },
  {
    ...{ stack: "password", block: "primary", priority: 128, control: "[success=end default=ignore]" },
    module: "pam_ldap.so minimum_uid=1000 try_first_pass",
    initialModule: "pam_ldap.so minimum_uid=1000",
  },
  ...(["session", "session-noninteractive"] as const).map(
    (stack): PamRule => ({
      ...{ stack, block: "additional", priority: 128, control: "[success=ok default=ignore]" },
      module: "pam_ldap.so minimum_uid=1000",
    }),
  ),
];

/** `judged` is how it looks without what is only on the machine. */
function nslcdConf(options: Required<NslcdOptions>, kind: "running" | "judged"): Text {
  const { base, authority, bind, extraConfiguration } = options;
  const isRunning = kind === "running";
  return text`
    uid nslcd
    gid nslcd
    uri ${ldapUris(options).join(" ")}
    base ${base}
    ${bind ? `binddn ${bind.dn}` : ""}
    ${bind && isRunning ? "bindpw @PASSWORD@" : ""}
    ${startsTls(options) ? "ssl start_tls" : ""}
    ${authority !== undefined ? `tls_reqcert demand${isRunning ? `\ntls_cacertfile ${authority}` : ""}` : ""}
    nss_initgroups_ignoreusers ALLLOCAL
    nss_min_uid 1000
    bind_timelimit 10
    timelimit 20
    idle_timelimit 600
    ${extraConfiguration}
  `;
}

/** sshd asks by this program, since nslcd tells nothing of keys (sshd_config(5), AuthorizedKeysCommand). */
function keysLines(options: Required<NslcdOptions>): Text[] {
  return [
    text`AuthorizedKeysCommand ${keysProgram(options)} %u`,
    // Who may read the password that the machine binds with, if there is one.
    text`AuthorizedKeysCommandUser nslcd`,
  ];
}

function keysProgram(options: Required<NslcdOptions>): GeneratedFile {
  const { base, authority, bind } = options;
  const identity = bind ? `-D '${bind.dn}' -y ${hiddenPassword}` : "";
  const search = text`${bin("ldap-utils", "ldapsearch")} -LLL -x -l 10 -o ldif-wrap=no -o nettimeout=5 ${startsTls(options) ? "-ZZ " : ""}${identity}`;
  return programFile(
    "ldap-ssh-keys",
    text`
      #!/bin/sh
      # The SSH keys that the directory has of a person.
      set -eu
      case $1 in *[!A-Za-z0-9._-]*) exit 1 ;; esac
      ${authority === undefined ? "" : `export LDAPTLS_CACERT=${authority}`}
      ${search} -H '${ldapUris(options).join(" ")}' -b '${base}' "(&(objectClass=posixAccount)(uid=$1))" sshPublicKey |
        sed -n 's/^sshPublicKey: //p'
    `,
  );
}
