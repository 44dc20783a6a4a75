import { extend, type Received, serviceType } from "../language/service-type.ts";
import { type Text, text } from "../language/text.ts";
import { etcFile, etcFiles, symlink } from "../system/essential-files.ts";
import type { FileWish } from "../system/essential-part.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";

/** What a networking service asks of systemd-networkd. */
export interface NetworkWish {
  /** Name of the file, which orders it among others: the first that matches an interface counts. */
  readonly fileName: string;
  readonly content: Text;
  /** Name servers may come from the network itself: systemd-resolved is needed to hear of them. */
  readonly learnsNameServers: boolean;
  readonly nameServers: readonly string[];
  readonly searchDomains: readonly string[];
}

export interface NetworkdOptions {
  readonly interfaceNames?: "kernel" | "predictable";
  /** What other services sent. */
  readonly wishes?: readonly NetworkWish[];
}

/** systemd-networkd, which carries out what the networking services ask for. */
export const networkd = serviceType<NetworkdOptions, readonly NetworkWish[]>({
  name: "networkd",
  description: "systemd-networkd: carries out what the networking services ask for.",
  options: {
    interfaceNames:
      "kernel keeps eth0, eth1 in the order of the virtual hardware; predictable names them after their place (enp0s3).",
    wishes: "What the networking services of the system send.",
  },
  defaults: { interfaceNames: "kernel", wishes: [] },
  extend: (options, received: readonly Received<readonly NetworkWish[]>[]) => ({
    ...options,
    wishes: [...options.wishes, ...received.flatMap(({ value }) => value)],
  }),
  extensions: [
    extend(systemdUnits, ({ wishes }) => [
      enableUnit("systemd-networkd.service"),
      ...(usesResolved(wishes) ? [enableUnit("systemd-resolved.service")] : []),
      // Machines have interfaces that are not theirs to wait for; one that works is enough to go on. What mounts from
      // others fails for good when it comes too early: emulated machines that start side by side took over two minutes.
      dropIn("systemd-networkd-wait-online.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=180
        `,
      }),
    ]),
    extend(profile, ({ wishes }) => (usesResolved(wishes) ? ["systemd-resolved"] : [])),
    extend(etcFiles, ({ interfaceNames, wishes }, { nameResolution }) => [
      ...wishes.map(({ fileName, content }) => etcFile(`/etc/systemd/network/${fileName}`, content)),
      // The way that systemd.link(5) documents to keep the kernel's names.
      ...(interfaceNames === "kernel" ? [symlink("/etc/systemd/network/99-default.link", "/dev/null")] : []),
      ...(nameResolution.nameServers.length === 0 ? [resolverFile(wishes)] : []),
    ]),
    extend(checks, () => [unitActive("systemd-networkd.service")]),
  ],
});

function usesResolved(wishes: readonly NetworkWish[]): boolean {
  return wishes.some((wish) => wish.learnsNameServers);
}

function resolverFile(wishes: readonly NetworkWish[]): FileWish {
  const path = "/etc/resolv.conf";
  if (usesResolved(wishes)) return symlink(path, "/run/systemd/resolve/stub-resolv.conf");
  const servers = [...new Set(wishes.flatMap((wish) => wish.nameServers))];
  const domains = [...new Set(wishes.flatMap((wish) => wish.searchDomains))];
  return etcFile(
    path,
    text`
      ${domains.length > 0 ? `search ${domains.join(" ")}` : ""}
      ${servers.map((server) => `nameserver ${server}`)}
    `,
  );
}
