import { isIP } from "node:net";
import { extend, type Received, serviceType } from "../language/service-type.ts";
import { type Content, type GeneratedFile, programFile, sbin, type Text, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openProtocol } from "./firewall.ts";

/** Addresses that move together from machine to machine, by VRRP (RFC 5798). */
export interface FloatingAddresses {
  readonly name: string;
  /** 1 to 255, the same on all machines that share the addresses and nowhere else in the network. */
  readonly router: number;
  readonly interface: string;
  /** With their prefix: `10.50.0.1/16`. */
  readonly addresses: readonly string[];
  /** 1 to 254: of the machines that live, the highest has the addresses. */
  readonly priority: number;
  /** This machine's own address, and those of the others: they are told directly, without multicast. */
  readonly self: string;
  readonly peers: readonly string[];
  /** A shell script; while it fails the machine counts for `failedPriority` less. */
  readonly healthy?: Content;
  readonly failedPriority?: number;
  /** Whether the addresses come back when a machine of higher priority does. Default: yes. */
  readonly preempt?: boolean;
}

export interface KeepalivedOptions {
  readonly floating?: readonly FloatingAddresses[];
  readonly extraConfiguration?: string;
  readonly blocks?: readonly Content[];
}

/** Addresses that outlive a machine. */
export const keepalived = serviceType<KeepalivedOptions, readonly Content[]>({
  name: "keepalived",
  description: "Addresses that move to another machine when the one that has them fails (VRRP).",
  options: {
    floating: "Addresses, by which priority this machine gets them, and whom it shares them with.",
    extraConfiguration: "Further blocks of keepalived.conf(5).",
    blocks: "What other services of the system say in it: virtual servers of IPVS.",
  },
  defaults: { floating: [], extraConfiguration: "", blocks: [] },
  extend: (options, received: readonly Received<readonly Content[]>[]) => ({
    ...options,
    blocks: [...options.blocks, ...received.flatMap(({ value }) => value)],
  }),
  validate: ({ floating }) =>
    floating.flatMap(({ name, router, priority, self, peers }) => [
      ...(/^[A-Za-z0-9_-]{1,40}$/.test(name)
        ? []
        : [
            {
              ...{ code: "wrong-name", field: "floating", what: `found ${JSON.stringify(name)}` },
              expected: "letters, digits, _ and -",
            },
          ]),
      ...(Number.isInteger(router) && router >= 1 && router <= 255
        ? []
        : [{ code: "wrong-value", field: "floating", what: `${name} has the router ${router}`, expected: "1 to 255" }]),
      ...(Number.isInteger(priority) && priority >= 1 && priority <= 254
        ? []
        : [
            {
              code: "wrong-value",
              field: "floating",
              what: `${name} has the priority ${priority}`,
              expected: "1 to 254",
            },
          ]),
      ...[self, ...peers]
        .filter((address) => isIP(address) === 0)
        .map((address) => ({
          ...{ code: "wrong-address", field: "floating", what: `found ${JSON.stringify(address)}` },
          expected: "an IP address",
        })),
    ]),
  extensions: [
    extend(profile, () => ["keepalived"]),
    extend(etcFiles, (options) => [etcFile("/etc/keepalived/keepalived.conf", keepalivedConf(options))]),
    extend(systemdUnits, (options) => [
      enableUnit("keepalived.service"),
      dropIn("keepalived.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=${sbin("keepalived", "keepalived")} --dont-fork --use-file ${keepalivedConf(options)}
        `,
      }),
    ]),
    extend(configurationChecks, (options) => [
      {
        name: "keepalived",
        program: sbin("keepalived", "keepalived"),
        arguments: ["--config-test", "--use-file", keepalivedConf(options)],
        // It looks there for how it was built.
        reads: ["/etc/keepalived"],
        loads: ["/usr/bin/sh"],
        // Scripts that others could change are not run: in the sandbox files belong to whoever looks.
        asRoot: true,
      },
    ]),
    extend(firewall, ({ floating }) =>
      floating.map(({ peers, name }) => openProtocol("meta l4proto vrrp", { from: peers, service: name })),
    ),
    extend(checks, () => [unitActive("keepalived.service")]),
  ],
});

function keepalivedConf({ floating, extraConfiguration, blocks }: Required<KeepalivedOptions>): GeneratedFile {
  return textFile(
    "keepalived.conf",
    text`
      global_defs {
        enable_script_security
        script_user root
        # An interface may come later than this program.
        dynamic_interfaces allow_if_changes
      }
      ${floating.map(instanceText)}
      ${blocks}
      ${extraConfiguration}
    `,
  );
}

function instanceText(one: FloatingAddresses): Text {
  const { name, healthy, failedPriority = 50, preempt = true } = one;
  // VRRP speaks of addresses of one kind (RFC 9568, 5.2); those of the other move with them unsaid.
  const isSix = (address: string) => address.includes(":");
  const main = one.addresses.filter((address) => isSix(address) === isSix(one.addresses[0]!));
  const others = one.addresses.filter((address) => isSix(address) !== isSix(one.addresses[0]!));
  return text`
    ${
      healthy === undefined
        ? ""
        : text`
            vrrp_script healthy_${name} {
              script "${programFile(`healthy-${name}`, text`#!/bin/sh\n${healthy}\n`)}"
              interval 2
              timeout 10
              fall 2
              rise 2
              weight -${failedPriority}
            }
          `
    }
    vrrp_instance ${name} {
      state BACKUP
      interface ${one.interface}
      virtual_router_id ${one.router}
      priority ${one.priority}
      advert_int 1
      ${preempt ? "" : "nopreempt"}
      unicast_src_ip ${one.self}
      unicast_peer {
        ${[...one.peers].sort()}
      }
      virtual_ipaddress {
        ${main.map((address) => `${address} dev ${one.interface}`)}
      }
      ${others.length === 0 ? "" : `virtual_ipaddress_excluded {\n${others.map((address) => `  ${address} dev ${one.interface}\n`).join("")}}`}
      ${healthy === undefined ? "" : `track_script {\n  healthy_${name}\n}`}
    }
  `;
}
