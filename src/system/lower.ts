import { canonicalJson } from "../base/canonical.ts";
import type { Problem } from "../base/error.ts";
import { failure, MesoError } from "../base/error.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import type { Device } from "../language/device.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { packageName } from "../language/package-reference.ts";
import { describe, factsOf, locationOf } from "../language/record.ts";
import type { Origin, Received } from "../language/service-type.ts";
import { essentialServices } from "./essential.ts";
import type { SystemPart } from "./essential-part.ts";
import { systemRoot } from "./essential-part.ts";
import { connectServices, foldServices } from "./fold.ts";
import { lowerAccounts } from "./lower-accounts.ts";
import { lowerConfigurationCheck } from "./lower-configuration.ts";
import { lowerFiles } from "./lower-files.ts";
import { lowerSecrets } from "./lower-secrets.ts";
import type { ManifestDevice, ManifestPackage, SystemManifest } from "./manifest.ts";
import { fileSystemProblems, isShapeBroken, recordMistakes } from "./validate.ts";

/**
 * The manifest of an operating system: its services folded, its accounts numbered, its files written out. Pure, and
 * the same for services and packages listed in any order.
 *
 * @throws MesoError with every mistake that was found, each with its place.
 */
export function lowerSystem(os: OperatingSystem): SystemManifest {
  if (factsOf(os)?.kind !== "operatingSystem") {
    throw failure("not-a-record", `found ${describe(os)} instead of an operating system`, {
      expected: "a record made by operatingSystem() or inherit()",
    });
  }
  const mistakes = recordMistakes(os);
  if (isShapeBroken(mistakes)) throw new MesoError(mistakes);
  const essential = essentialServices(os);
  const connected = connectServices([...essential, ...os.services]);
  const folded = foldServices(connected, systemRoot, os);
  const parts = (folded.options as { parts: readonly SystemPart[] }).parts;
  const gathered = <K extends keyof SystemPart>(key: K) =>
    parts.flatMap((part) => (part[key] ?? []) as readonly NonNullable<SystemPart[K]>[number][]);
  const configurationChecks = gathered("configurationChecks").map((item) =>
    lowerConfigurationCheck(item, os.architecture),
  );
  const files = lowerFiles(
    gathered("files"),
    configurationChecks.flatMap(({ check, texts }) => texts.map((value) => ({ value, origin: check.origin }))),
  );
  const accounts = lowerAccounts(gathered("users"), gathered("groups"), os.accountNumbers);
  const secrets = lowerSecrets(gathered("credentials"));
  const enabled = gathered("enabledUnits");
  const masked = gathered("maskedUnits");
  const problems = [
    ...mistakes,
    ...fileSystemProblems(os),
    ...connected.problems,
    ...folded.problems,
    ...files.problems,
    ...accounts.problems,
    ...secrets.problems,
    ...maskedAndEnabled(enabled, masked),
  ];
  if (problems.length > 0) throw new MesoError(problems);
  const kernelPackage = typeof os.kernel.package === "string" ? os.kernel.package : os.kernel.package(os.architecture);
  const kernelWish = { value: kernelPackage, origin: { by: "kernel", ...placeOf(os.kernel) } };
  const packages = gathered("packages").map(({ value, origin }) => ({ value: packageName(value), origin }));
  return {
    formatVersion: 1,
    hostName: os.hostName,
    architecture: os.architecture,
    channel: {
      suite: os.channel.suite,
      components: sorted(os.channel.components),
      updates: os.channel.updates,
      security: os.channel.security,
    },
    kernel: {
      package: kernelPackage,
      // Order counts here: the last console= becomes /dev/console.
      arguments: [...os.kernelArguments, ...gathered("kernelArguments").map(({ value }) => value)].flatMap((words) =>
        words.trim().split(/\s+/),
      ),
      initrdModules: sorted(gathered("initrdModules").map(({ value }) => value)),
    },
    bootloader: { kind: "grub", targets: os.bootloader.targets, timeout: os.bootloader.timeout },
    fileSystems: sortedBy(os.fileSystems, ({ mountPoint }) => mountPoint).map((fileSystem) => ({
      device: lowerDevice(fileSystem.device),
      mountPoint: fileSystem.mountPoint,
      type: fileSystem.type,
      options: fileSystem.options,
      neededForBoot: fileSystem.neededForBoot,
      check: fileSystem.check,
    })),
    packages: mergedPackages([kernelWish, ...packages, ...files.packages]),
    recommends: typeof os.recommends === "boolean" ? os.recommends : sorted(os.recommends.map(packageName)),
    users: accounts.users,
    groups: accounts.groups,
    files: files.files,
    enabledUnits: sorted(enabled.map(({ value }) => value)),
    maskedUnits: sorted(masked.map(({ value }) => value)),
    alternatives: Object.fromEntries(
      sortedBy(
        gathered("alternatives").map(({ value }) => value),
        ([name]) => name,
      ),
    ),
    accountNumbers: os.accountNumbers,
    acknowledgedScripts: [...os.acknowledgedScripts].sort(
      (a, b) =>
        compareBytes(a.package, b.package) ||
        compareBytes(a.script, b.script) ||
        compareBytes(a.sha256 ?? "", b.sha256 ?? ""),
    ),
    checks: [...gathered("checks")]
      .map(({ value, origin }) => ({ ...value, service: origin.by }))
      .sort(
        (a, b) =>
          compareBytes(a.service, b.service) ||
          compareBytes(a.name, b.name) ||
          compareBytes(canonicalJson(a), canonicalJson(b)),
      ),
    configurationChecks: configurationChecks
      .map(({ check }) => check)
      .sort((a, b) => compareBytes(a.origin.by, b.origin.by) || compareBytes(a.command.join(" "), b.command.join(" "))),
    secrets: sorted([...secrets.byName.keys()]),
    origins: {
      enabledUnits: originsByValue(enabled),
      maskedUnits: originsByValue(masked),
      services: connected.services
        .filter(({ service }) => !essential.includes(service))
        .map(({ service }) => ({ by: service.name, ...placeOf(service) })),
      secretSources: Object.fromEntries([...secrets.byName].map(([name, { source }]) => [name, source])),
    },
  };
}

function originsByValue(wishes: readonly Received<string>[]): Readonly<Record<string, readonly Origin[]>> {
  const groups = Map.groupBy(
    sortedBy(wishes, ({ value, origin }) => `${value} ${origin.by}`),
    ({ value }) => value,
  );
  return Object.fromEntries([...groups].map(([value, all]) => [value, all.map(({ origin }) => origin)]));
}

function mergedPackages(wishes: readonly Received<string>[]): ManifestPackage[] {
  const origins = new Map<string, Origin[]>();
  for (const { value, origin } of wishes) {
    const known = origins.get(value);
    if (!known) origins.set(value, [origin]);
    else if (!known.some(({ by }) => by === origin.by)) known.push(origin);
  }
  return sortedBy(origins, ([name]) => name).map(([name, wishedBy]) => ({ name, origins: wishedBy }));
}

function lowerDevice(device: Device): ManifestDevice {
  if (device === "none") return { kind: "none" };
  if (device.kind === "label") return { kind: "label", label: device.label };
  if (device.kind === "uuid") return { kind: "uuid", uuid: device.uuid };
  return { kind: "path", path: device.path };
}

function maskedAndEnabled(enabled: readonly Received<string>[], masked: readonly Received<string>[]): Problem[] {
  return masked.flatMap(({ value, origin }): Problem[] => {
    const other = enabled.find((candidate) => candidate.value === value);
    if (!other) return [];
    return [
      {
        code: "masked-and-enabled",
        what: `${value} is masked by ${origin.by} and enabled by ${other.origin.by}`,
        ...(origin.where && { where: origin.where }),
        ...(other.origin.where && { also: other.origin.where }),
        hint: "take one of the two away",
      },
    ];
  });
}

function placeOf(record: object): Pick<Origin, "where"> {
  const where = locationOf(record);
  return where ? { where } : {};
}

function sorted(names: readonly string[]): string[] {
  return sortedBy(new Set(names), (name) => name);
}
