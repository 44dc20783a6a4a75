import { parseSize } from "../base/size.ts";
import type { Complaint } from "../language/complaint.ts";
import type { Endpoint } from "../language/endpoint.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type Content, type GeneratedFile, programFile, sbin, type Text, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { checks, commandSucceeds, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { systemdUnits, type UnitWish, unit } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { ldapUris, startsTls } from "./ldap-client.ts";
import { type LdapEntry, ldif, suffixEntry } from "./ldap-entries.ts";
import { state, stateFolder } from "./state.ts";

export interface SlapdOptions {
  readonly suffix: string;
  readonly tree?: readonly LdapEntry[];
  readonly rootPassword?: Secret | undefined;
  readonly schemas?: readonly string[];
  readonly ownSchemas?: readonly Content[];
  readonly tls?: { readonly certificate: string; readonly key: string; readonly authority?: string } | undefined;
  readonly replicas?: { readonly password: Secret } | undefined;
  readonly replicaOf?: LdapProvider | undefined;
  readonly access?: readonly string[];
  readonly indices?: readonly string[];
  readonly clients?: readonly string[];
  readonly largestSize?: string;
  readonly modules?: readonly string[];
  readonly extraConfiguration?: string;
  readonly databaseConfiguration?: string;
}

/** The server that a replica fetches the tree from, and never stops listening to (RFC 4533). */
export interface LdapProvider {
  readonly server: Endpoint<"ldap"> | Endpoint<"ldaps">;
  /** What `replicas` of that server says. */
  readonly password: Secret;
  /** File of the certificate by which the provider is known; StartTLS is insisted on when its endpoint is `ldap`. */
  readonly authority?: string;
}

/** OpenLDAP's server, for people and groups of many machines. */
export const slapd = serviceType<SlapdOptions>({
  name: "slapd",
  description: "LDAP directory (OpenLDAP): people and groups of many machines, with replicas that follow a provider.",
  options: {
    suffix:
      "Name of the tree: dc=example,dc=org. Its administrator is cn=admin below; root of the machine is, by ldapi.",
    tree: "Entries of a directory that holds nothing yet: organizationalUnit(), ldapPerson(), ldapGroup() or others.",
    rootPassword: "Password of cn=admin for other machines, or its hash as slappasswd makes it; a secret.",
    schemas: "Schemas by name, of /etc/ldap/schema, and openssh-lpk for people's SSH keys.",
    ownSchemas: "Further schemas, in the words of slapd.conf(5): attributetype, objectclass.",
    tls: "Files of certificate, key and authority, in PEM form, readable by openldap; with them ldaps is served too.",
    replicas: "Lets other servers follow this one: they bind as cn=replicator with this password.",
    replicaOf: "Makes this server follow another: it loads no tree, and sends who writes to the other.",
    access: "Rules of slapd.access(5), in order: access to * by users read.",
    indices: "Attributes that are searched by, and how: uid eq.",
    clients: "Networks whose machines may ask; an empty list means all.",
    largestSize: "What the database may grow to; it takes the place it needs.",
    modules: "Further modules of /usr/lib/ldap: memberof, ppolicy.",
    extraConfiguration: "Further lines of slapd.conf(5), before the database.",
    databaseConfiguration: "Further lines of slapd.conf(5) about the database: overlays, limits.",
  },
  defaults: {
    tree: [],
    rootPassword: undefined,
    schemas: ["core", "cosine", "inetorgperson", "nis", "openssh-lpk"],
    ownSchemas: [],
    tls: undefined,
    replicas: undefined,
    replicaOf: undefined,
    access: [
      "access to attrs=userPassword by self write by anonymous auth by * none",
      "access to attrs=shadowLastChange by self write by * read",
      "access to * by * read",
    ],
    indices: ["objectClass eq", "uid,memberUid,uidNumber,gidNumber eq", "cn,sn,mail eq,sub", "entryUUID,entryCSN eq"],
    clients: [],
    largestSize: "1GiB",
    modules: [],
    extraConfiguration: "",
    databaseConfiguration: "",
  },
  validate: mistakes,
  extensions: [
    extend(profile, () => ["slapd", "ldap-utils"]),
    extend(state, () => [
      stateFolder("/var/lib/ldap", { user: "openldap", mode: 0o700, units: ["slapd.service", "slapd-tree.service"] }),
    ]),
    extend(secretFiles, (options) => {
      const units = ["slapd.service"];
      return [
        ...(options.rootPassword ? [hidden("admin", `rootpw "@PASSWORD@"\n`, options.rootPassword, units)] : []),
        ...(options.replicas ? [hidden("replicator", `rootpw "@PASSWORD@"\n`, options.replicas.password, units)] : []),
        ...(options.replicaOf ? [hidden("provider", syncrepl(options), options.replicaOf.password, units)] : []),
      ];
    }),
    extend(systemdUnits, (options) => [serverUnit(options), ...(options.replicaOf ? [] : [treeUnit(options)])]),
    // Without certificates and secrets, which are only on the machine.
    extend(configurationChecks, (options) => {
      const conf = ["-u", "-f", slapdConf(options, "judged")];
      return [
        options.replicaOf
          ? slapdCheck("slaptest", conf)
          : slapdCheck("slapadd", [...conf, "-b", options.suffix, "-l", treeFile(options)]),
      ];
    }),
    extend(firewall, ({ clients, tls }) => [
      openPort(389, { from: clients, service: "LDAP" }),
      ...(tls ? [openPort(636, { from: clients, service: "LDAP" })] : []),
    ]),
    extend(checks, ({ suffix, tls }) => [
      unitActive("slapd.service"),
      portAnswers(389),
      ...(tls ? [portAnswers(636)] : []),
      commandSucceeds("ldapsearch", "-Q", "-LLL", "-Y", "EXTERNAL", "-H", "ldapi:///", "-s", "base", "-b", suffix),
    ]),
  ],
});

const openSshSchema = `# People's SSH keys, by the numbers that the OpenSSH-LPK patch gave them.
attributetype ( 1.3.6.1.4.1.24552.500.1.1.1.13 NAME 'sshPublicKey'
  DESC 'OpenSSH public key' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.24552.500.1.1.2.0 NAME 'ldapPublicKey' SUP top AUXILIARY
  DESC 'somebody with SSH keys' MAY ( sshPublicKey $ uid ) )
`;

function mistakes({ suffix, schemas, tree, replicaOf, largestSize }: Required<SlapdOptions>): Complaint[] {
  const isDn = (dn: string) => /^[A-Za-z][A-Za-z0-9-]*=[^\n]+$/.test(dn);
  const isBelow = (dn: string) =>
    dn.toLowerCase() === suffix.toLowerCase() || dn.toLowerCase().endsWith(`,${suffix.toLowerCase()}`);
  const isSize = /^\d+(\.\d+)?\s*[kmgt]?(i?b)?$/i.test(largestSize);
  return [
    ...(isDn(suffix) && !/["'\\]/.test(suffix)
      ? []
      : [
          {
            code: "wrong-name",
            field: "suffix",
            what: `found ${JSON.stringify(suffix)}`,
            expected: "dc=example,dc=org",
          },
        ]),
    ...schemas
      .filter((name) => !/^[a-z0-9-]+$/.test(name))
      .map((name) => ({ code: "wrong-name", field: "schemas", what: `found ${JSON.stringify(name)}` })),
    ...tree
      .filter(({ dn }) => !isBelow(dn))
      .map(({ dn }) => ({ code: "wrong-name", field: "tree", what: `${dn} is not below ${suffix}` })),
    ...(replicaOf && tree.length > 0
      ? [{ code: "two-sources", field: "tree", what: "a replica gets its tree from the provider", expected: "no tree" }]
      : []),
    ...(isSize ? [] : [{ code: "wrong-value", field: "largestSize", what: `found ${largestSize}`, expected: "1GiB" }]),
  ];
}

/** A part of the configuration that only openldap may read, for `include`. */
function hidden(name: string, content: Content, password: Secret, units: readonly string[]) {
  return secretFile({ path: hiddenPath(name), content, secrets: { PASSWORD: password }, user: "openldap", units });
}

function hiddenPath(name: string): string {
  return `/run/slapd-secrets/${name}.conf`;
}

/** `judged` is how it looks without what is only on the machine; `first` writes its database aside. */
function slapdConf(options: Required<SlapdOptions>, kind: "running" | "judged" | "first"): GeneratedFile {
  const { suffix, tls, replicas, replicaOf, rootPassword } = options;
  const isRunning = kind === "running";
  const include = (name: string): string => (isRunning ? `include ${hiddenPath(name)}` : "");
  return textFile(
    "slapd.conf",
    text`
      ${options.schemas.map((name) =>
        name === "openssh-lpk"
          ? text`include ${textFile("openssh-lpk.schema", openSshSchema)}`
          : text`include /etc/ldap/schema/${name}.schema`,
      )}
      ${options.ownSchemas.map((schema, index) => text`include ${textFile(`own${index}.schema`, schema)}`)}
      modulepath /usr/lib/ldap
      ${["back_mdb", "syncprov", "argon2", ...(replicas ? ["back_null"] : []), ...options.modules].map((name) => `moduleload ${name}`)}
      pidfile /run/slapd/slapd.pid
      loglevel stats sync
      sizelimit unlimited
      password-hash {ARGON2}
      ${
        tls && isRunning
          ? [
              `TLSCertificateFile ${tls.certificate}`,
              `TLSCertificateKeyFile ${tls.key}`,
              ...(tls.authority === undefined ? [] : [`TLSCACertificateFile ${tls.authority}`]),
            ]
          : ""
      }
      # Who is root on the machine administers the tree, through the socket.
      authz-regexp "^gidNumber=0[+]uidNumber=0,cn=peercred,cn=external,cn=auth$" "cn=admin,${suffix}"
      ${options.extraConfiguration}
      ${
        // An identity whose password is no part of the tree.
        replicas
          ? text`
              database null
              suffix "cn=replicator"
              rootdn "cn=replicator"
              ${include("replicator")}
            `
          : ""
      }
      database mdb
      suffix "${suffix}"
      rootdn "cn=admin,${suffix}"
      ${rootPassword ? include("admin") : ""}
      directory ${kind === "first" ? firstFolder : "/var/lib/ldap"}
      maxsize ${parseSize(options.largestSize)}
      ${options.indices.map((index) => `index ${index}`)}
      ${replicas ? 'access to * by dn.exact="cn=replicator" read by * break\nlimits dn.exact="cn=replicator" size=unlimited time=unlimited' : ""}
      ${options.access}
      ${options.databaseConfiguration}
      ${replicaOf ? include("provider") : ""}
      overlay syncprov
      syncprov-checkpoint 100 5
      syncprov-sessionlog 1000
    `,
  );
}

function syncrepl({ suffix, replicaOf }: Required<SlapdOptions>): Text {
  const { server, authority } = replicaOf!;
  const trusted = authority === undefined ? {} : { authority };
  const [url] = ldapUris({ servers: [server], ...trusted });
  const starts = startsTls({ servers: [server], ...trusted }) ? " starttls=critical" : "";
  const tls = authority === undefined ? "" : ` tls_cacert=${authority} tls_reqcert=demand${starts}`;
  return text`
    syncrepl rid=1 provider=${url!} searchbase="${suffix}" type=refreshAndPersist retry="2 5 10 +" bindmethod=simple binddn="cn=replicator" credentials="@PASSWORD@"${tls}
    updateref ${url!}
  `;
}

function serverUnit(options: Required<SlapdOptions>): UnitWish {
  const urls = ["ldap:///", ...(options.tls ? ["ldaps:///"] : []), "ldapi:///"];
  return unit({
    name: "slapd.service",
    text: text`
      [Unit]
      Description=OpenLDAP server
      Documentation=man:slapd(8)
      Wants=network-online.target
      After=network-online.target
      Before=nss-user-lookup.target
      ${options.replicaOf ? "" : "Requires=slapd-tree.service\nAfter=slapd-tree.service"}

      [Service]
      Type=notify
      User=openldap
      Group=openldap
      RuntimeDirectory=slapd
      AmbientCapabilities=CAP_NET_BIND_SERVICE
      CapabilityBoundingSet=CAP_NET_BIND_SERVICE
      LimitNOFILE=8192
      PrivateTmp=yes
      ProtectHome=yes
      ProtectSystem=full
      ExecStart=${sbin("slapd", "slapd")} -d 0 -h "${urls.join(" ")}" -f ${slapdConf(options, "running")}
      Restart=on-failure

      [Install]
      WantedBy=multi-user.target
    `,
  });
}

const firstFolder = "/var/lib/ldap/first";

/** Loads the tree where there is none, aside, so that a machine that is cut short begins anew. */
function treeUnit(options: Required<SlapdOptions>): UnitWish {
  const program = programFile(
    "load-tree",
    text`
      #!/bin/sh
      set -eu
      rm -rf ${firstFolder}
      mkdir -m 700 ${firstFolder}
      ${sbin("slapd", "slapadd")} -w -b '${options.suffix}' -f ${slapdConf(options, "first")} -l ${treeFile(options)}
      sync ${firstFolder}/data.mdb
      mv ${firstFolder}/data.mdb /var/lib/ldap/data.mdb
      sync /var/lib/ldap
      rm -rf ${firstFolder}
    `,
  );
  return unit({
    name: "slapd-tree.service",
    text: text`
      [Unit]
      Description=First entries of the directory
      ConditionPathExists=!/var/lib/ldap/data.mdb

      [Service]
      Type=oneshot
      RemainAfterExit=yes
      User=openldap
      Group=openldap
      ExecStart=${program}
    `,
  });
}

function treeFile({ suffix, tree }: Required<SlapdOptions>): GeneratedFile {
  const hasTop = tree.some(({ dn }) => dn.toLowerCase() === suffix.toLowerCase());
  const top = hasTop ? undefined : suffixEntry(suffix);
  return textFile("tree.ldif", ldif([...(top ? [top] : []), ...tree]));
}

function slapdCheck(name: string, words: readonly (string | GeneratedFile)[]) {
  return {
    name,
    program: sbin("slapd", name),
    arguments: words,
    reads: ["/etc/ldap/schema"],
    loads: ["/usr/lib/ldap"],
    folders: ["/var/lib/ldap", "/run/slapd"],
  };
}
