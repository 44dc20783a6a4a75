import { readFileSync } from "node:fs";
import { failure } from "../../base/error.ts";

/** Where a cluster answers. */
export interface CephMonitor {
  readonly host: string;
  /** Undefined: Ceph's own ports. */
  readonly port: number | undefined;
}

/** Ceph's own place. */
const usualConfiguration = "/etc/ceph/ceph.conf";

/**
 * The monitors that a ceph.conf of this host names, for hypervisors that may not have that file. Empty without one, or
 * when it leaves finding them to the name service.
 *
 * @throws MesoError `invalid-setting` for a file that was named and cannot be read, or has no sense.
 */
export function cephMonitors(configuration: string | undefined): readonly CephMonitor[] {
  let text: string;
  try {
    text = readFileSync(configuration ?? usualConfiguration, "utf8");
  } catch (error) {
    if (configuration === undefined) return [];
    throw failure("invalid-setting", `${configuration} cannot be read: ${(error as Error).message}`);
  }
  return monitorsIn(text, configuration ?? usualConfiguration);
}

/**
 * `mon_host` of the section `[global]` (Ceph's manual: rados/configuration/ceph-conf, mon-lookup-dns): names and
 * addresses between commas or blanks; `[v2:ADDRESS:PORT/0,v1:…]` is one monitor with two protocols.
 */
export function monitorsIn(text: string, file: string): readonly CephMonitor[] {
  let section = "global";
  let hosts = "";
  for (const line of text.replaceAll("\\\n", " ").split("\n")) {
    const plain = line.replace(/[#;].*/, "").trim();
    section = /^\[([^\]]*)\]$/.exec(plain)?.[1]?.trim() ?? section;
    const [key, ...value] = plain.split("=");
    if (section === "global" && key!.trim().replace(/[ -]+/g, "_") === "mon_host") hosts = value.join("=");
  }
  const words = hosts.replaceAll('"', " ").match(/\[v[12]:\S*?\](?=[\s,]|$)|[^\s,]+/g) ?? [];
  return words.map((word) => monitor(word, file));
}

function monitor(word: string, file: string): CephMonitor {
  const several = /^\[(v[12]:.*)\]$/.exec(word)?.[1]?.split(",");
  // The second protocol is every supported release's own.
  const one = several?.find((each) => each.startsWith("v2:")) ?? several?.[0] ?? word;
  const found = /^(?:v[12]:)?(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?(?:\/\d+)?$/.exec(one);
  const port = found?.[3] === undefined ? undefined : Number(found[3]);
  if (!found || (port !== undefined && (port < 1 || port > 65535))) {
    throw failure("invalid-setting", `${file} names a monitor that makes no sense: ${word}`, {
      expected: "mon_host = 10.0.0.1, or [v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0]",
    });
  }
  return { host: (found[1] ?? found[2])!, port };
}
