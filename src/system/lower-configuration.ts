import { multiarch } from "../base/multiarch.ts";
import { sortedBy } from "../base/order.ts";
import type { Received } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import type { ConfigurationCheck } from "./essential-configuration.ts";
import type { LoweredText } from "./lower-text.ts";
import { lowerText } from "./lower-text.ts";
import type { ManifestConfigurationCheck } from "./manifest.ts";

/** A check with its arguments written out, and the texts that name what it needs. */
export function lowerConfigurationCheck(
  { value, origin }: Received<ConfigurationCheck>,
  architecture: string,
): {
  readonly check: ManifestConfigurationCheck;
  readonly texts: readonly LoweredText[];
} {
  const { name, program, reads = [], loads = [], folders = [], asRoot = false } = value;
  const texts = [program, ...value.arguments].map((part) => lowerText(text`${part}`));
  const triplet = multiarch.find((one) => one.architecture === architecture)?.triplet ?? "";
  const generated = texts.flatMap(({ files }) => [...files.keys()]);
  return {
    check: {
      name,
      command: texts.map((each) => each.text),
      reads: sorted([...reads, ...generated]),
      loads: sorted(loads.map((path) => path.replaceAll("{multiarch}", triplet))),
      folders: sorted(folders),
      asRoot,
      origin,
    },
    texts,
  };
}

function sorted(paths: readonly string[]): string[] {
  return sortedBy(new Set(paths), (path) => path);
}
