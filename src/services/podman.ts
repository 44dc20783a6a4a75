import { failure } from "../base/error.ts";
import type { Complaint } from "../language/complaint.ts";
import { isNormalAbsolutePath } from "../language/file-system.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { file, type Text, text } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { credentials } from "../system/essential-credentials.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, commandSucceeds, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";

/** A container that runs as a service of the system, of the same name. */
export interface PodmanContainer {
  readonly name: string;
  /** With its registry, and best with a digest: `registry.example.org/app@sha256:…`. */
  readonly image: string;
  readonly command?: readonly string[];
  /** Of the machine that it listens on, as it shares the machine's network: they are opened in the firewall. */
  readonly ports?: readonly number[];
  /** Folders of the machine by their place in the container; a missing one is made and kept. */
  readonly folders?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Files with secrets: `/run/secrets/<key>` in the container. */
  readonly secrets?: Readonly<Record<string, Secret>>;
  /** A user of the image, by name or number. */
  readonly user?: string;
  /** Further lines of the section [Container] of podman-systemd.unit(5). */
  readonly extraConfiguration?: string;
  /** Default: when the machine starts. */
  readonly starts?: "at-boot" | "by-hand";
}

export interface PodmanOptions {
  readonly containers?: readonly PodmanContainer[];
  readonly searchRegistries?: readonly string[];
  readonly allow?: readonly string[];
}

/** Containers without a daemon. */
export const podman = serviceType<PodmanOptions>({
  name: "podman",
  description: "Runs containers: those that are declared as services of the system, others by hand.",
  options: {
    containers: "Containers that are services. They share the machine's network; their images are pulled when missing.",
    searchRegistries: "Where images are looked for whose name has no registry; an empty list means nowhere.",
    allow: "Networks that the firewall lets in to the containers' ports; an empty list means all.",
  },
  defaults: { containers: [], searchRegistries: [], allow: [] },
  validate: ({ containers, searchRegistries }) => mistakes(containers, searchRegistries),
  extensions: [
    extend(profile, (_, { channel: { suite } }) => {
      if (suite !== "bookworm") return ["podman", "crun", "netavark", "aardvark-dns", "nftables", "catatonit"];
      throw failure("too-old", "podman of bookworm knows no containers as services", { expected: "trixie, or later" });
    }),
    extend(state, ({ containers }) => [
      stateFolder("/var/lib/containers", { units: containers.map(unitOf) }),
      ...containers.flatMap((one) =>
        Object.values(one.folders ?? {}).map((path) => stateFolder(path, { units: [unitOf(one)] })),
      ),
    ]),
    extend(etcFiles, ({ containers, searchRegistries }) => [
      etcFile("/etc/containers/registries.conf.d/meso.conf", registriesConf(searchRegistries)),
      ...containers.map((one) => etcFile(`/etc/containers/systemd/${one.name}.container`, quadlet(one))),
    ]),
    extend(credentials, ({ containers }) =>
      containers.flatMap((one) => Object.values(one.secrets ?? {}).map((secret) => ({ secret, units: [unitOf(one)] }))),
    ),
    extend(systemdUnits, ({ containers }) =>
      containers.map((one) =>
        // A first start may have to fetch the image.
        dropIn(unitOf(one), "meso", { text: text`[Service]\nTimeoutStartSec=infinity\nRestartSec=5\n` }),
      ),
    ),
    extend(configurationChecks, ({ containers }) =>
      containers.length === 0
        ? []
        : [
            {
              name: "quadlet",
              program: file("podman", "/usr/libexec/podman/quadlet"),
              arguments: ["-dryrun"],
              reads: ["/etc/containers"],
              loads: ["/usr/bin/podman"],
            },
          ],
    ),
    extend(firewall, ({ containers, allow }) =>
      containers.flatMap(({ name, ports = [] }) => ports.map((port) => openPort(port, { from: allow, service: name }))),
    ),
    extend(checks, ({ containers }) => [
      commandSucceeds("podman", "info", "--format={{.Host.OCIRuntime.Name}}"),
      ...containers.filter(({ starts }) => starts !== "by-hand").map((one) => unitActive(unitOf(one))),
    ]),
  ],
});

function unitOf({ name }: PodmanContainer): string {
  return `${name}.service`;
}

function mistakes(containers: readonly PodmanContainer[], searchRegistries: readonly string[]): Complaint[] {
  const names = containers.map(({ name }) => name);
  const wrong = (code: string, what: string, expected?: string): Complaint => ({
    ...{ code, field: "containers", what },
    ...(expected && { expected }),
  });
  return [
    ...names
      .filter((name) => !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name))
      .map((name) => wrong("wrong-name", `found ${JSON.stringify(name)}`, "letters, digits, _ . and -")),
    ...[...new Set(names.filter((name, index) => names.indexOf(name) !== index))].map((name) =>
      wrong("same-name", `two containers are named ${name}`),
    ),
    ...containers.flatMap(({ name, image, folders = {}, environment = {}, secrets = {} }) => [
      ...(/^[a-z0-9.-]+(:\d+)?\/[^\s]+$/.test(image) || (searchRegistries.length > 0 && /^\S+$/.test(image))
        ? []
        : [wrong("wrong-name", `${name} has the image ${JSON.stringify(image)}`, "one with its registry")]),
      ...Object.entries(folders)
        .flat()
        .filter((path) => !isNormalAbsolutePath(path) || /[\s:]/.test(path))
        .map((path) =>
          wrong("wrong-path", `${name} has ${JSON.stringify(path)}`, "an absolute path without space and :"),
        ),
      ...Object.keys(environment)
        .filter((variable) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable))
        .map((variable) => wrong("wrong-name", `${name} has the variable ${JSON.stringify(variable)}`)),
      ...Object.keys(secrets)
        .filter((key) => !/^[A-Za-z0-9_.-]+$/.test(key))
        .map((key) => wrong("wrong-name", `${name} has the secret ${JSON.stringify(key)}`)),
    ]),
  ];
}

function registriesConf(registries: readonly string[]): string {
  return `unqualified-search-registries = [${registries.map((one) => JSON.stringify(one)).join(", ")}]\n`;
}

/** podman-systemd.unit(5). */
function quadlet(container: PodmanContainer): Text {
  const {
    name,
    image,
    command = [],
    folders = {},
    environment = {},
    secrets = {},
    user,
    starts = "at-boot",
  } = container;
  const sorted = <T>(table: Readonly<Record<string, T>>) => Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1));
  return text`
    [Unit]
    Description=Container ${name}
    Wants=network-online.target
    After=network-online.target

    [Container]
    ContainerName=${name}
    Image=${image}
    Network=host
    LogDriver=journald
    ${command.length > 0 ? `Exec=${command.map(quoted).join(" ")}` : ""}
    ${user === undefined ? "" : `User=${user}`}
    ${sorted(folders).map(([inside, path]) => `Volume=${path}:${inside}`)}
    ${sorted(environment).map(([variable, value]) => `Environment=${quoted(`${variable}=${value}`)}`)}
    ${sorted(secrets).map(([key, secret]) => `Volume=%d/${secret.name}:/run/secrets/${key}:ro`)}
    ${container.extraConfiguration ?? ""}

    [Service]
    Restart=on-failure

    ${starts === "at-boot" ? "[Install]\nWantedBy=multi-user.target" : ""}
  `;
}

/** A word of systemd.syntax(7), in which % and $ mean themselves. */
function quoted(word: string): string {
  const escaped = word
    .replaceAll(/["\\]/g, "\\$&")
    .replaceAll("%", "%%")
    .replaceAll("$", "$$$$")
    .replaceAll("\n", "\\n");
  return `"${escaped}"`;
}
