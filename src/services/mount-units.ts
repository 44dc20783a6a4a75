import { text } from "../language/text.ts";
import { enableUnit, type UnitWish, unit } from "../system/essential-units.ts";

/** Something that comes over the network, and where it appears. */
export interface NetworkMount {
  readonly what: string;
  readonly where: string;
  readonly type: string;
  readonly options: readonly string[];
  /** Mounted when somebody looks, and away after 10 minutes of rest. */
  readonly onDemand: boolean;
  /** Units that come before. */
  readonly after?: readonly string[];
}

/** Units that mount it. Servers are waited for, and with them what is started after remote-fs.target. */
export function mountUnits({ what, where, type, options, onDemand, after = [] }: NetworkMount): UnitWish[] {
  const mount = unit({
    name: mountUnitName(where, "mount"),
    enable: !onDemand,
    text: text`
      [Unit]
      Description=${what}
      Wants=network-online.target
      After=network-online.target
      ${after.map((name) => `Requires=${name}\nAfter=${name}`)}

      [Mount]
      What=${what}
      Where=${where}
      Type=${type}
      Options=${options.join(",")},_netdev
      TimeoutSec=infinity

      [Install]
      WantedBy=remote-fs.target
    `,
  });
  // Nothing else starts it on a system that enables what it names.
  const network = enableUnit("remote-fs.target");
  if (!onDemand) return [mount, network];
  const automount = unit({
    name: mountUnitName(where, "automount"),
    text: text`
      [Unit]
      Description=${what}, when somebody looks

      [Automount]
      Where=${where}
      TimeoutIdleSec=600

      [Install]
      WantedBy=remote-fs.target
    `,
  });
  return [mount, automount, network];
}

/** The name that systemd asks for what is at a path: systemd.unit(5), "String escaping for inclusion in unit names". */
export function mountUnitName(path: string, kind: "mount" | "automount" | "swap"): string {
  const escaped = [...Buffer.from(path.replace(/^\/+|\/+$/g, ""))].map((byte, index) => {
    const character = String.fromCharCode(byte);
    if (character === "/") return "-";
    const isPlain = /[A-Za-z0-9:_.]/.test(character) && !(index === 0 && character === ".");
    return isPlain ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  return `${path === "/" ? "-" : escaped.join("")}.${kind}`;
}
