import type { PathMaker } from "./explain-path.ts";
import type { DescribedOrigin, SystemDescription } from "./system-description.ts";

type Step = Extract<PathMaker, { kind: "step" }>;

/** A path that composing made, as far as its own steps did: a step, or how a package's path came to be. */
export function madeBySteps(
  path: string,
  { origin, target }: { readonly origin: string; readonly target?: string },
  system: SystemDescription,
): Step | { readonly kind: "package"; readonly how: string } | undefined {
  const step = (how: string, origins: readonly DescribedOrigin[] = []): Step => ({
    kind: "step",
    step: origin,
    how,
    origins,
  });
  const alternative = /^\/(?:etc\/alternatives|var\/lib\/dpkg\/alternatives)\/(.+)$/.exec(path)?.[1];
  const linked = /^\/etc\/alternatives\/(.+)$/.exec(target ?? "")?.[1];
  const name = alternative ?? linked;
  if (name !== undefined) {
    const chosen = system.alternatives[name];
    const why = chosen === undefined ? "its priority is the highest" : `the record chooses ${chosen}`;
    return { kind: "package", how: `as update-alternatives leaves it for ${name}: ${why}` };
  }
  const enabled = /^enabled unit (.+)$/.exec(origin)?.[1];
  if (enabled !== undefined) {
    const unit = system.units.find((one) => one.name === enabled);
    return step(`as systemctl enable leaves it for ${enabled}`, unit?.origins ?? []);
  }
  if (origin === "masked units") {
    const unit = system.units.find((one) => path.endsWith(`/${one.name}`));
    return step("as systemctl mask leaves it", unit?.origins ?? []);
  }
  if (origin === "ca-certificates" && /^\/etc\/(ssl\/certs|ca-certificates\.conf)/.test(path)) {
    return step("as update-ca-certificates makes it of the authorities that the package ships and the record adds");
  }
  if (origin.startsWith("depmod ")) return step("which modules of the kernel need which, as depmod finds it");
  const how = steps[origin];
  return how === undefined ? undefined : step(how);
}

/** By the origin that composing gives: what is made of all packages together, and so is nobody's. */
const steps: Readonly<Record<string, string>> = {
  accounts: "the accounts of the record, of base-passwd and of all packages, with numbers that stay",
  "dpkg database": "what dpkg would know if it had installed the packages",
  "journal catalog": "the messages that packages explain, as journalctl --update-catalog gathers them",
  ldconfig: "where the libraries of all packages are, for the dynamic linker, as ldconfig finds them",
  "login shells": "the shells of all packages, as update-shells lists them",
  system: "part of every system: the links of merged /usr, and folders to mount on",
  "systemd-hwdb": "what packages know of devices, as systemd-hwdb compiles it",
  "systemd-update-done": "tells systemd that what depends on /usr is up to date in this image",
};
