import { compareBytes } from "../base/order.ts";
import { aLine } from "../language/operating-system.ts";
import type { Received } from "../language/service-type.ts";
import { extend } from "../language/service-type.ts";
import { sbin } from "../language/text.ts";
import { configurationChecks } from "./essential-configuration.ts";
import { etcFile, etcFiles } from "./essential-files.ts";
import type { FileWish } from "./essential-part.ts";
import { collector } from "./essential-part.ts";
import { profile } from "./essential-profile.ts";

export type PamStack = "auth" | "account" | "password" | "session" | "session-noninteractive";

/** A line of one of Debian's common PAM stacks, in the terms of pam-auth-update(8). */
export interface PamRule {
  readonly stack: PamStack;
  /** Primary rules are tried in turn until one decides; additional ones all run after it. */
  readonly block: "primary" | "additional";
  /** Larger comes earlier; pam_unix has 256. */
  readonly priority: number;
  /** `required`, `[success=end default=ignore]`, …: `end` stands for the end of the primary block. */
  readonly control: string;
  /** Module and arguments. */
  readonly module: string;
  /** What replaces `module` when the rule is the first of its block. */
  readonly initialModule?: string;
}

/** Rules of /etc/pam.d/common-*; pam_unix is always among them. */
export const pam = collector<PamRule>({
  name: "pam",
  description: "Rules of the PAM stacks that all programs share (/etc/pam.d/common-*).",
  extensions: [extend(etcFiles, ({ items }) => stacks.map((stack) => stackFile(stack, items)))],
});

/** Lines of sudoers(5). Any of them brings Debian's sudo. */
export const sudoers = collector<string>({
  name: "sudoers",
  description: "Who may run what as whom with sudo (/etc/sudoers.d).",
  check: aLine,
  extensions: [
    extend(etcFiles, ({ items }) =>
      items.length === 0
        ? []
        : [etcFile("/etc/sudoers.d/meso", `${items.map(({ value }) => value).join("\n")}\n`, { mode: 0o440 })],
    ),
    extend(profile, ({ items }) => (items.length === 0 ? [] : ["sudo"])),
    extend(configurationChecks, ({ items }) =>
      items.length === 0
        ? []
        : [
            {
              name: "visudo",
              program: sbin("sudo", "visudo"),
              arguments: ["-c", "-f", "/etc/sudoers"],
              reads: ["/etc/sudoers", "/etc/sudoers.d"],
              loads: ["/usr/libexec/sudo"],
              asRoot: true,
            },
          ],
    ),
  ],
});

const stacks: readonly PamStack[] = ["account", "auth", "password", "session", "session-noninteractive"];

/** What libpam-modules brings in /usr/share/pam-configs/unix. */
export const unixRules: readonly PamRule[] = [
  primary("auth", "[success=end default=ignore]", "pam_unix.so try_first_pass"),
  primary("account", "[success=end new_authtok_reqd=done default=ignore]", "pam_unix.so"),
  primary(
    "password",
    "[success=end default=ignore]",
    "pam_unix.so obscure use_authtok try_first_pass yescrypt",
    "pam_unix.so obscure yescrypt",
  ),
  ...(["session", "session-noninteractive"] as const).map(
    (stack): PamRule => ({ stack, block: "additional", priority: 256, control: "required", module: "pam_unix.so" }),
  ),
];

function primary(stack: PamStack, control: string, module: string, initialModule = module): PamRule {
  return { stack, block: "primary", priority: 256, control, module, initialModule };
}

function stackFile(stack: PamStack, items: readonly Received<PamRule>[]): FileWish {
  const rulesOf = (block: PamRule["block"]): PamRule[] =>
    items
      .map(({ value }) => value)
      .filter((rule) => rule.stack === stack && rule.block === block)
      .sort((a, b) => b.priority - a.priority || compareBytes(a.module, b.module));
  const first = rulesOf("primary");
  const type = stack === "session-noninteractive" ? "session" : stack;
  const lines = [
    ...(first.length === 0 ? [[type, "[default=1]", "pam_permit.so"]] : primaryLines(type, first)),
    [type, "requisite", "pam_deny.so"],
    // A positive value to start from, since the modules above only jump.
    [type, "required", "pam_permit.so"],
    ...rulesOf("additional").map((rule) => [type, rule.control, rule.module]),
  ];
  const content = `${lines.map((fields) => fields.join("\t")).join("\n")}\n`;
  return etcFile(`/etc/pam.d/common-${stack}`, content, { replacesPackageFile: true });
}

function primaryLines(type: string, rules: readonly PamRule[]): string[][] {
  return rules.map((rule, index) => [
    type,
    // Jumps over the rest of the block and the pam_deny.so after it.
    rule.control.replaceAll("=end", `=${rules.length - index}`),
    index === 0 ? (rule.initialModule ?? rule.module) : rule.module,
  ]);
}
