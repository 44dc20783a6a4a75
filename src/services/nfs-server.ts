import { isIP } from "node:net";
import { sha256 } from "../base/hash.ts";
import { isAddressWithPrefix } from "../language/address.ts";
import type { Complaint } from "../language/complaint.ts";
import { isNormalAbsolutePath } from "../language/file-system.ts";
import { isHostName } from "../language/name-resolution.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, commandSucceeds, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, maskUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";

/** A folder that other machines may mount. */
export interface NfsExport {
  readonly path: string;
  /** Who may, and how; the first that fits decides. */
  readonly clients: readonly NfsClients[];
  /** Made at boot and kept, with this owner; without it the folder is somebody else's work. */
  readonly folder?: { readonly user?: string; readonly group?: string; readonly mode?: number };
}

export interface NfsClients {
  /** A network, an address, a name, or `"*"`. */
  readonly from: string;
  /** Default `"read-write"`. */
  readonly access?: "read-write" | "read-only";
  /** Whose rights are taken away: root's (the default), everybody's, nobody's. */
  readonly squash?: "root" | "all" | "none";
  /** Whether answers wait until the disk has it. Default: yes; without, a crash of the server loses what was written. */
  readonly sync?: boolean;
  /** Further options of exports(5): `["sec=krb5p", "anonuid=1000"]`. */
  readonly options?: readonly string[];
}

export interface NfsServerOptions {
  readonly exports: readonly NfsExport[];
  readonly threads?: number;
  readonly version3?: boolean;
  readonly domain?: string;
  readonly allow?: readonly string[];
}

/** Folders for other machines. */
export const nfsServer = serviceType<NfsServerOptions>({
  name: "nfs-server",
  description:
    "NFS server: folders that other machines mount. Version 4 on one port, and version 3 where it is asked for.",
  options: {
    exports: "Folders, and who may mount each.",
    threads: "Requests that are worked on at once.",
    version3: "Whether clients of version 3 are served too; their helpers get ports 111, 20048, 32765 and 32766.",
    domain: "The domain of names of users (idmapd.conf); with sec=sys only numbers count. Empty: that of the machine.",
    allow: "Networks that the firewall lets in; an empty list means all.",
  },
  defaults: { threads: 16, version3: false, domain: "", allow: [] },
  validate: ({ exports }) => exportMistakes(exports),
  extensions: [
    extend(profile, () => ["nfs-kernel-server"]),
    extend(etcFiles, (options) => [
      etcFile("/etc/exports", options.exports.map(exportLine).join(""), { replacesPackageFile: true }),
      // Beside /etc/nfs.conf, which says where the kernel is spoken to.
      etcFile("/etc/nfs.conf.d/meso.conf", nfsConf(options)),
      ...(options.domain === ""
        ? []
        : [etcFile("/etc/idmapd.conf", `[General]\nDomain = ${options.domain}\n`, { replacesPackageFile: true })]),
    ]),
    extend(state, ({ exports }) => [
      // Who had what open, so that clients go on after the server was away.
      stateFolder("/var/lib/nfs/nfsdcld", { mode: 0o700, units: ["nfsdcld.service", "nfs-server.service"] }),
      ...exports.flatMap(({ path, folder }) =>
        folder ? [stateFolder(path, { ...folder, units: ["nfs-server.service"] })] : [],
      ),
    ]),
    extend(systemdUnits, ({ exports, version3 }) => [
      enableUnit("nfs-server.service"),
      dropIn("nfs-server.service", "meso", {
        text: text`
          [Unit]
          ${exports.map(({ path }) => `RequiresMountsFor=${path}`)}

          [Service]
          # A mistake in an export is told, and not only noted.
          ExecStartPre=
          ExecStartPre=/usr/sbin/exportfs -r
        `,
      }),
      ...(version3 ? [enableUnit("rpcbind.socket")] : version3Units.map(maskUnit)),
    ]),
    extend(firewall, ({ version3, allow }) => [
      openPort(2049, { from: allow, service: "NFS" }),
      ...(version3
        ? version3Ports.flatMap((port) =>
            (["tcp", "udp"] as const).map((protocol) => openPort(port, { protocol, from: allow, service: "NFS 3" })),
          )
        : []),
    ]),
    extend(checks, ({ exports }) => [
      unitActive("nfs-server.service"),
      portAnswers(2049),
      ...exports.map(({ path }) => commandSucceeds("sh", "-c", `exportfs -s | grep -Fq '${path} '`)),
    ]),
  ],
});

const version3Units = ["rpcbind.service", "rpcbind.socket", "rpc-statd.service", "rpc-statd-notify.service"];

/** rpcbind, mountd, statd and lockd, as nfsConf says. */
const version3Ports = [111, 20048, 32765, 32766];

function exportMistakes(exports: readonly NfsExport[]): Complaint[] {
  const paths = exports.map(({ path }) => path);
  return [
    ...exports.flatMap(({ path, clients }) => [
      ...(isNormalAbsolutePath(path) && !/[\s"\\#]/.test(path)
        ? []
        : [
            {
              ...{ code: "wrong-path", field: "exports", what: `found ${JSON.stringify(path)}` },
              expected: "an absolute path without spaces",
            },
          ]),
      ...(clients.length > 0 ? [] : [{ code: "missing-field", field: "exports", what: `nobody may mount ${path}` }]),
      ...clients
        .filter(({ from }) => from !== "*" && isIP(from) === 0 && !isAddressWithPrefix(from) && !isPattern(from))
        .map(({ from }) => ({
          ...{ code: "wrong-address", field: "exports", what: `found the client ${JSON.stringify(from)} of ${path}` },
          expected: 'a network, an address, a name, or "*"',
        })),
      ...clients
        .flatMap(({ options = [] }) => options)
        .filter((option) => !/^[a-z_0-9]+(=[^\s,()]+)?$/.test(option))
        .map((option) => ({
          ...{ code: "wrong-value", field: "exports", what: `found the option ${JSON.stringify(option)} of ${path}` },
          expected: "a word of exports(5)",
        })),
    ]),
    ...[...new Set(paths.filter((path, index) => paths.indexOf(path) !== index))].map((path) => ({
      ...{ code: "same-path", field: "exports", what: `${path} is exported twice` },
      hint: "list all clients in one export",
    })),
  ];
}

/** A name, of which parts may be wildcards: `*.cluster.example.org`. */
function isPattern(name: string): boolean {
  return isHostName(name.replaceAll(/[*?]/g, "x"));
}

/**
 * exports(5). File handles hold what the export is known by: the number of the disk, which is another after a swap of
 * the root, or the one that is said here, which stays.
 */
function exportLine({ path, clients }: NfsExport): string {
  const digits = sha256(`nfs export ${path}`);
  const identity = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20, 32),
  ];
  const each = clients.map(({ from, access, squash = "root", sync = true, options = [] }) => {
    const rights = access === "read-only" ? "ro" : "rw";
    const words = [rights, sync ? "sync" : "async", squashes[squash], "no_subtree_check", `fsid=${identity.join("-")}`];
    return `${from}(${[...words, ...options].join(",")})`;
  });
  return `${path} ${each.join(" ")}\n`;
}

const squashes = { root: "root_squash", all: "all_squash", none: "no_root_squash" };

function nfsConf({ threads, version3 }: Required<NfsServerOptions>) {
  const helpers = text`
    [mountd]
    port = 20048
    [statd]
    port = 32765
    [lockd]
    port = 32766
    udp-port = 32766
  `;
  return text`
    [nfsd]
    threads = ${threads}
    vers3 = ${version3 ? "y" : "n"}
    ${version3 ? helpers : ""}
    [nfsdcld]
    storagedir = /var/lib/nfs/nfsdcld
  `;
}
