import type { Endpoint } from "../language/endpoint.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type GeneratedFile, sbin, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { etcFiles, symlink } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";

export interface ZabbixAgentOptions {
  readonly servers: readonly Endpoint<"zabbix-server">[];
  readonly name?: string | undefined;
  readonly port?: number;
  readonly metadata?: string;
  readonly key?: ZabbixKey | undefined;
  readonly items?: Readonly<Record<string, string>>;
  readonly extraConfiguration?: string;
}

/** What server and agent both know, by which they trust each other; 32 hexadecimal digits at least. */
export interface ZabbixKey {
  /** Its name, which is not secret: `front-1`. */
  readonly identity: string;
  readonly secret: Secret;
}

/** The machine as a Zabbix server sees it. */
export const zabbixAgent = serviceType<ZabbixAgentOptions>({
  name: "zabbix-agent",
  description: "Tells a Zabbix server what the machine is doing: when it is asked, and by itself.",
  options: {
    servers: "Servers that may ask, and that are told what active items there are.",
    name: "What the machine is called there; its host name otherwise.",
    port: "TCP port to listen on.",
    metadata: "Words by which the server decides what to do with a machine that it sees for the first time.",
    key: "Encrypts what is said by a key that both know; the key is a secret.",
    items: "Further items: by key, the command whose output is the value (UserParameter).",
    extraConfiguration: "Further lines of zabbix_agentd.conf.",
  },
  defaults: { name: undefined, port: 10050, metadata: "", key: undefined, items: {}, extraConfiguration: "" },
  validate: ({ servers, items }) => [
    ...(servers.length > 0 ? [] : [{ code: "missing-field", field: "servers", what: "no server is named" }]),
    ...Object.entries(items)
      .filter(([key, command]) => !/^[A-Za-z0-9._-]+(\[\*\])?$/.test(key) || command.includes("\n"))
      .map(([key]) => ({
        ...{ code: "wrong-name", field: "items", what: `found ${JSON.stringify(key)}` },
        expected: "letters, digits, . _ - and a command of one line: queue.length, disk.errors[*]",
      })),
  ],
  extensions: [
    extend(profile, () => ["zabbix-agent"]),
    extend(secretFiles, ({ key }) =>
      key
        ? [
            secretFile({
              ...{ path: keyFile, content: "@KEY@\n", secrets: { KEY: key.secret }, user: "zabbix" },
              units: ["zabbix-agent.service"],
            }),
          ]
        : [],
    ),
    extend(etcFiles, (options, { hostName }) => [
      symlink("/etc/zabbix/zabbix_agentd.conf", agentConf(options, hostName)),
    ]),
    extend(systemdUnits, (options, { hostName }) => [
      enableUnit("zabbix-agent.service"),
      dropIn("zabbix-agent.service", "meso", {
        text: text`
          [Unit]
          Wants=network-online.target

          [Service]
          ExecStart=
          ExecStart=${sbin("zabbix-agent", "zabbix_agentd")} --foreground --config ${agentConf(options, hostName)}
          Restart=on-failure
        `,
      }),
    ]),
    extend(configurationChecks, (options, { hostName, channel }) => {
      // Only since Zabbix 7.0 a configuration can be looked at.
      if (channel.suite === "bookworm") return [];
      const conf = agentConf({ ...options, key: undefined }, hostName);
      const program = sbin("zabbix-agent", "zabbix_agentd");
      return [{ name: "zabbix_agentd", program, arguments: ["--test-config", "--config", conf] }];
    }),
    extend(firewall, ({ port, servers }) => [
      openPort(port, { from: servers.map(({ address }) => address), service: "Zabbix agent" }),
    ]),
    extend(checks, ({ port }) => [unitActive("zabbix-agent.service"), portAnswers(port)]),
  ],
});

const keyFile = "/run/zabbix-secrets/agent.psk";

type AgentSettings = Omit<Required<ZabbixAgentOptions>, "key"> & Pick<ZabbixAgentOptions, "key">;

function agentConf(options: AgentSettings, hostName: string): GeneratedFile {
  const { servers, name = hostName, port, metadata, key, items, extraConfiguration } = options;
  return textFile(
    "zabbix_agentd.conf",
    text`
      LogType=console
      PidFile=/run/zabbix/zabbix_agentd.pid
      Hostname=${name}
      ${metadata === "" ? "" : `HostMetadata=${metadata}`}
      Server=${servers.map(({ address }) => address).join(",")}
      ServerActive=${servers.map(({ address, port: to }) => `${bracketed(address)}:${to}`).join(",")}
      ListenPort=${port}
      ${key ? ["TLSConnect=psk", "TLSAccept=psk", `TLSPSKIdentity=${key.identity}`, `TLSPSKFile=${keyFile}`] : ""}
      ${Object.keys(items)
        .sort()
        .map((item) => `UserParameter=${item},${items[item]}`)}
      ${extraConfiguration}
    `,
  );
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
