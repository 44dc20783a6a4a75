import { failure } from "../base/error.ts";
import type { Received } from "../language/service-type.ts";
import { extend } from "../language/service-type.ts";
import type { Content, Interpolated, Text } from "../language/text.ts";
import { asTextValue, text } from "../language/text.ts";
import type { FileWish } from "./essential-part.ts";
import { collector, systemRoot } from "./essential-part.ts";

/** What a service asks of systemd, made by `unit`, `dropIn`, `enableUnit`, `maskUnit`. */
export type UnitWish =
  | { readonly kind: "unit"; readonly name: string; readonly content: Text; readonly enable: boolean }
  | { readonly kind: "drop-in"; readonly unit: string; readonly name: string; readonly content: Text }
  | { readonly kind: "enable"; readonly name: string }
  | { readonly kind: "mask"; readonly name: string };

/** Units of systemd: own ones, additions to those of packages, which are enabled, which masked. */
export const systemdUnits = collector<UnitWish>({
  name: "systemd-units",
  description: "Units of systemd: own ones, drop-ins for those of packages, enabled and masked ones.",
  extensions: [
    extend(systemRoot, ({ items }) => ({
      files: items.flatMap(({ value, origin }) => filesOf(value).map((file) => ({ value: file, origin }))),
      enabledUnits: named(items, (wish) => wish.kind === "enable" || (wish.kind === "unit" && wish.enable)),
      maskedUnits: named(items, (wish) => wish.kind === "mask"),
    })),
  ],
});

/** The sections of a unit file; a list repeats its key. Sections and keys keep their order. */
export type UnitSections = Readonly<Record<string, Readonly<Record<string, UnitValue>>>>;
export type UnitValue = Interpolated | boolean;

/**
 * A unit: `unit({ name: "hello.service", sections: { Service: { ExecStart: text`…` } } })` or with its whole `text`.
 * Enabled when it has an [Install] section, unless `enable` says otherwise.
 */
export function unit(given: {
  readonly name: string;
  readonly text?: Content;
  readonly sections?: UnitSections;
  readonly enable?: boolean;
}): UnitWish {
  const content = contentOf(given.name, given);
  const isInstallable = content.parts.some((part) => typeof part === "string" && /^\[Install\]/m.test(part));
  return { kind: "unit", name: checkedName(given.name), content, enable: given.enable ?? isInstallable };
}

/** An addition to a unit, usually a package's: `dropIn("ssh.service", "meso", { sections: { … } })`. */
export function dropIn(
  unitName: string,
  name: string,
  given: { readonly text?: Content; readonly sections?: UnitSections },
): UnitWish {
  const content = contentOf(`${unitName}.d/${name}`, given);
  return { kind: "drop-in", unit: checkedName(unitName), name: name.replace(/\.conf$/, ""), content };
}

/** Enables units by their [Install] sections, wherever they come from: `enableUnit("getty@ttyS0.service")`. */
export function enableUnit(name: string): UnitWish {
  return { kind: "enable", name: checkedName(name) };
}

/** Makes a unit impossible to start. */
export function maskUnit(name: string): UnitWish {
  return { kind: "mask", name: checkedName(name) };
}

/** Sections as the text of a unit file (systemd.syntax(7)). */
export function sectionsText(sections: UnitSections): Text {
  const blocks = Object.entries(sections).map(([section, entries]) => {
    const lines = Object.entries(entries).flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).map((item) => text`${key}=${unitValue(item)}`),
    );
    return text`[${section}]\n${lines}\n`;
  });
  return text`${blocks}`;
}

function unitValue(value: UnitValue): Interpolated {
  return typeof value === "boolean" ? (value ? "yes" : "no") : value;
}

function contentOf(name: string, given: { readonly text?: Content; readonly sections?: UnitSections }): Text {
  if ((given.text === undefined) === (given.sections === undefined)) {
    throw failure(
      "wrong-unit",
      `the unit ${name} has ${given.text === undefined ? "neither" : "both"} text and sections`,
      {
        expected: "text or sections",
      },
    );
  }
  return given.text === undefined ? sectionsText(given.sections!) : asTextValue(given.text);
}

// systemd.unit(5): name prefix, optional instance, type suffix; 255 characters in all.
const namePattern =
  /^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$/;

function checkedName(name: string): string {
  if (namePattern.test(name) && name.length <= 255) return name;
  throw failure("wrong-unit-name", `found the unit name ${JSON.stringify(name)}`, {
    expected: "a name with its type: ssh.service, getty@ttyS0.service",
    ...(/^[A-Za-z0-9:_-]+$/.test(name) && { hint: `did you mean ${name}.service?` }),
  });
}

function filesOf(wish: UnitWish): FileWish[] {
  if (wish.kind === "unit") return [{ kind: "file", path: `/etc/systemd/system/${wish.name}`, content: wish.content }];
  if (wish.kind !== "drop-in") return [];
  return [{ kind: "file", path: `/etc/systemd/system/${wish.unit}.d/${wish.name}.conf`, content: wish.content }];
}

function named(items: readonly Received<UnitWish>[], keep: (wish: UnitWish) => boolean): Received<string>[] {
  return items.flatMap(({ value, origin }) =>
    keep(value) && value.kind !== "drop-in" ? [{ value: value.name, origin }] : [],
  );
}
