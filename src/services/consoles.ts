import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { profile } from "../system/essential-profile.ts";
import { enableUnit, systemdUnits } from "../system/essential-units.ts";

export interface ConsolesOptions {
  readonly virtualTerminals?: readonly string[];
  readonly serialPorts?: readonly string[];
  readonly emptyPasswords?: boolean;
}

/** Login prompts on the screen and on serial lines. */
export const consoles = serviceType<ConsolesOptions>({
  name: "consoles",
  description:
    "Login prompts. The console that the kernel's command line names (console=ttyS0) has one in any case, by systemd.",
  options: {
    virtualTerminals: "Virtual terminals with a prompt.",
    serialPorts: "Serial lines with a prompt beside the kernel's own console.",
    emptyPasswords: "Whether an account without password may log in here. Never counts for ssh, su or sudo.",
  },
  defaults: { virtualTerminals: ["tty1"], serialPorts: [], emptyPasswords: true },
  extensions: [
    // What getty starts; no longer essential since trixie.
    extend(profile, () => ["login"]),
    extend(systemdUnits, ({ virtualTerminals, serialPorts }) => [
      ...virtualTerminals.map((terminal) => enableUnit(`getty@${terminal}.service`)),
      ...serialPorts.map((port) => enableUnit(`serial-getty@${port}.service`)),
    ]),
    extend(etcFiles, ({ emptyPasswords }) => [
      etcFile("/etc/pam.d/login", loginStack(emptyPasswords), { replacesPackageFile: true }),
    ]),
  ],
});

/**
 * The stack of login(1), with one addition to Debian's: an account whose password field is empty gets in, but only
 * here. The common stacks do not know `nullok`, so a daemon that was broken into cannot become such an account by su.
 */
function loginStack(emptyPasswords: boolean) {
  return text`
    auth       optional   pam_faildelay.so delay=3000000
    auth       requisite  pam_nologin.so
    ${emptyPasswords ? "auth       sufficient pam_unix.so nullok" : ""}
    @include common-auth
    auth       optional   pam_group.so
    @include common-account
    session    required   pam_loginuid.so
    session    required   pam_env.so
    session    required   pam_env.so envfile=/etc/default/locale
    session    required   pam_limits.so
    session    optional   pam_motd.so noupdate
    session    optional   pam_keyinit.so force revoke
    @include common-session
    @include common-password
  `;
}
