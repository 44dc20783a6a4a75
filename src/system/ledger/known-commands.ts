import type { AlternativeEffect, Effects, UserEffect } from "./effects.ts";
import { fileCapability } from "./file-capability.ts";
import type { PathOracle } from "./shell-conditions.ts";
import { writeCommand } from "./shell-reduce.ts";

/**
 * What a command of a maintainer script leaves on a first installation: effects, "nothing", or `undefined`
 * when that is not known. Words that cannot be known are "\0".
 */
export function effectsOfCommand(
  command: readonly string[],
  script: "preinst" | "postinst",
  kindOf: PathOracle,
): Effects | "nothing" | undefined {
  const name = (command[0] ?? "").replace(/^\/(usr\/)?s?bin\//, "");
  if (withoutEffect.has(name) || name.startsWith("db_")) return "nothing";
  if (script === "preinst" && commandsOfRemoval.has(name)) return "nothing";
  if (name === "rm") return removal(command.slice(1), kindOf);
  const reader = readers[name];
  if (reader === undefined) return undefined;
  return reader(command.slice(1));
}

/**
 * Queries and messages; what the profile hooks compute from files (units, caches, hwdb, catalog, sysusers);
 * what needs a running system; and registries that only upgrades and removals read (ucf, debconf, update-rc.d:
 * systemd reads units, never rc?.d links when a unit of the same name exists).
 */
const withoutEffect = new Set(
  (
    "echo printf true false : test [ command which type hash grep egrep fgrep sed cut tr head tail sort uniq wc awk cat ls " +
    "readlink realpath dirname basename stat cmp diff md5sum sha256sum expr getent id uname date sleep logger seq find " +
    "trap exec wait cd pwd getopt ischroot mountpoint pidof pgrep ps kill killall findfs df sync " +
    "dpkg dpkg-query dpkg-architecture dpkg-maintscript-helper dpkg-trigger dpkg-vendor " +
    "deb-systemd-helper deb-systemd-invoke systemctl systemd-notify systemd-detect-virt systemd-machine-id-setup " +
    "systemd-sysusers systemd-tmpfiles systemd-hwdb journalctl udevadm invoke-rc.d update-rc.d service start-stop-daemon " +
    "telinit init py3compile pycompile py3clean pyclean pypy3compile ldconfig apparmor_parser aa-enabled aa-status " +
    "update-initramfs update-grub depmod update-menus install-info update-mime-database gtk-update-icon-cache " +
    "update-icon-caches update-desktop-database ucfr ucfq update-catalog update-xmlcatalog rmdir " +
    "linux-update-symlinks run-parts glib-compile-schemas gio-querymodules deb-gview update-pciids mandb dbus-send " +
    "pam-auth-update linux-run-hooks restorecon locale-gen gdk-pixbuf-query-loaders " +
    "dbus-uuidgen update-ca-certificates update-shells modprobe vgcfgbackup shadowconfig update-binfmts deluser delgroup"
  ).split(" "),
);

/** Before the first unpacking nothing of the package is there to be removed or moved aside. */
const commandsOfRemoval = new Set(["rm", "mv", "unlink", "cp", "touch", "linux-run-hooks"]);

const readers: Readonly<Record<string, (words: readonly string[]) => Effects | "nothing" | undefined>> = {
  ".": (words) =>
    /^\/usr\/share\/(debconf\/confmodule(\.sh)?|dpkg\/sh\/dpkg-error\.sh)$/.test(words[0] ?? "")
      ? "nothing"
      : undefined,
  "update-alternatives": alternatives,
  "dpkg-statoverride": statOverride,
  "dpkg-divert": diversion,
  adduser: (words) => account(words, "adduser"),
  addgroup: (words) => account(["--group", ...words], "adduser"),
  useradd: (words) => account(words, "useradd"),
  groupadd: (words) => account(["--group", ...words], "useradd"),
  // Another mask gives what follows other modes, which a recipe has to say.
  umask: ([mask]) => (/^0?022$/.test(mask ?? "") ? "nothing" : undefined),
  [writeCommand]: ([path, text]) =>
    path?.startsWith("/") ? { files: [{ path, text: text!, mode: 0o644 }] } : undefined,
  touch: emptyFiles,
  cp: copy,
  ucf: managedFile,
  mkdir: directories,
  install: directories,
  chmod: changeMode,
  chown: changeOwner,
  chgrp: (words) => changeOwner(words.map((word, index) => (index === firstOperand(words) ? `:${word}` : word))),
  ln: link,
  setcap: capability,
  usermod: moreGroups,
  "add-shell": loginShell,
};

function known(words: readonly string[]): boolean {
  return !words.some((word) => word.includes("\0") || /[*?[\]]/.test(word));
}

function alternatives(words: readonly string[]): Effects | "nothing" | undefined {
  if (!words.includes("--install")) return "nothing";
  if (!known(words)) return undefined;
  const rest = words.slice(words.indexOf("--install") + 1);
  const [link, name, path, priority, ...more] = rest;
  if (link === undefined || name === undefined || path === undefined || !/^-?\d+$/.test(priority ?? ""))
    return undefined;
  const slaves: { link: string; name: string; path: string }[] = [];
  for (let i = 0; i < more.length; i += 4) {
    const [option, slaveLink, slaveName, slavePath] = more.slice(i, i + 4);
    if (option !== "--slave" || slaveLink === undefined || slaveName === undefined || slavePath === undefined)
      return undefined;
    slaves.push({ link: slaveLink, name: slaveName, path: slavePath });
  }
  const alternative: AlternativeEffect = { link, name, path, priority: Number(priority), slaves };
  return { alternatives: [alternative] };
}

/** dpkg-statoverride(1): `--add user group mode path`. */
function statOverride(words: readonly string[]): Effects | "nothing" | undefined {
  if (!words.includes("--add")) return "nothing";
  const [user, group, mode, path] = words.filter((word) => !word.startsWith("--"));
  if (!known(words) || path === undefined || !/^[0-7]{3,5}$/.test(mode ?? "")) return undefined;
  return { attributes: [{ path, user: user!, group: group!, mode: Number.parseInt(mode!, 8), registered: true }] };
}

function diversion(words: readonly string[]): Effects | "nothing" | undefined {
  if (words.includes("--remove") || words.includes("--list") || words.includes("--truename")) return "nothing";
  if (!known(words)) return undefined;
  const { options, operands } = splitOptions(words, ["--divert", "--package"]);
  const path = operands.at(-1);
  if (path === undefined) return undefined;
  return { diversions: [{ path, to: options["--divert"] ?? `${path}.distrib` }] };
}

const accountOptionsWithValue = [
  ..."--home --shell --gecos --comment --ingroup --gid --uid --home-dir --groups --firstuid --lastuid --conf -d -s -c -g -G -u".split(
    " ",
  ),
  "-k",
];

/** adduser(8) and useradd(8), system accounts only; a person's account in a package would be unheard of. */
function account(words: readonly string[], dialect: "adduser" | "useradd"): Effects | "nothing" | undefined {
  if (!known(words)) return undefined;
  const { options, flags, operands } = splitOptions(words, accountOptionsWithValue);
  const [name, addedTo] = operands;
  if (name === undefined || !accountName(flags).test(name)) return undefined;
  const system = flags.some((flag) => flag === "--system" || flag === "-r");
  if (flags.includes("--group") && !system) return dialect === "useradd" ? { groups: [name] } : undefined;
  if (addedTo !== undefined && !system) return { users: [{ name, supplementaryGroups: [addedTo] }] };
  if (flags.includes("--group") && words[0] === "--group") return { groups: [name] };
  if (!system) return undefined;
  const group = options["--ingroup"] ?? options["--gid"] ?? options["-g"];
  const home = options["--home"] ?? options["--home-dir"] ?? options["-d"];
  const shell = options["--shell"] ?? options["-s"];
  const comment = options["--gecos"] ?? options["--comment"] ?? options["-c"];
  const others = options["--groups"] ?? options["-G"];
  const user: UserEffect = {
    name,
    ...(group !== undefined
      ? { group }
      : flags.includes("--group") || dialect === "useradd"
        ? {}
        : { group: "nogroup" }),
    ...(home === undefined ? {} : { home }),
    ...(shell === undefined ? {} : { shell }),
    ...(comment === undefined ? {} : { comment: comment.replace(/,+$/, "") }),
    ...(others === undefined ? {} : { supplementaryGroups: others.split(",") }),
  };
  const makesHome = dialect === "adduser" && home !== undefined && !flags.includes("--no-create-home");
  if (!makesHome || home === "/nonexistent") return { users: [user] };
  return { users: [user], directories: [{ path: home, mode: 0o755, user: name, group: user.group ?? name }] };
}

/** adduser(8) asks for a flag before it takes a name with capitals; the flag has changed its name over the releases. */
function accountName(flags: readonly string[]): RegExp {
  const isAnyCase = flags.some((flag) => /^--(force-badname|allow-bad-names?|allow-all-names)$/.test(flag));
  return isAnyCase ? /^[A-Za-z_][A-Za-z0-9_-]*$/ : /^[a-z_][a-z0-9_-]*$/;
}

/** usermod(8), where it only adds a user to groups. */
function moreGroups(words: readonly string[]): Effects | undefined {
  const [option, groups, name, more] = words
    .join(" ")
    .replace(/^(-a -G|-G -a|--append --groups) /, "-aG ")
    .split(" ");
  if (!known(words) || option !== "-aG" || name === undefined || more !== undefined) return undefined;
  return { users: [{ name, supplementaryGroups: groups!.split(",") }] };
}

/** setcap(8) with one clause for one file. */
function capability(words: readonly string[]): Effects | undefined {
  const [clause, path, more] = words;
  const value = fileCapability(clause ?? "");
  if (!known(words) || value === undefined || !path?.startsWith("/") || more !== undefined) return undefined;
  return { capabilities: [{ path, value }] };
}

function loginShell(words: readonly string[]): Effects | undefined {
  return known(words) && words.every((word) => word.startsWith("/")) ? { shells: words } : undefined;
}

function emptyFiles(words: readonly string[]): Effects | undefined {
  if (!known(words) || words.some((word) => !word.startsWith("/"))) return undefined;
  return { files: words.map((path) => ({ path, text: "", mode: 0o644 })) };
}

function copy(words: readonly string[]): Effects | undefined {
  const { flags, operands } = splitOptions(words, []);
  const [from, path, more] = operands;
  if (!known(words) || more !== undefined || !flags.every((flag) => /^-[apfZn]+$/.test(flag))) return undefined;
  if (!from?.startsWith("/") || !path?.startsWith("/")) return undefined;
  return { copies: [{ from, path: path.endsWith("/") ? `${path}${from.split("/").pop()}` : path }] };
}

/** ucf(1) `template path`: on a first installation a plain copy. */
function managedFile(words: readonly string[]): Effects | "nothing" | undefined {
  if (words.includes("--purge") || words.includes("-p")) return "nothing";
  const { operands } = splitOptions(words, ["--debconf-template", "--src-dir", "--state-dir", "--sum-file", "-s"]);
  const [from, path] = operands;
  if (!known(words) || !from?.startsWith("/") || !path?.startsWith("/")) return undefined;
  return { copies: [{ from, path, mode: 0o644 }] };
}

/** Removing what no package brought here changes nothing. */
function removal(words: readonly string[], kindOf: PathOracle): "nothing" | undefined {
  const { operands } = splitOptions(words, []);
  return known(words) && operands.every((path) => (kindOf(path) ?? "nothing") === "nothing") ? "nothing" : undefined;
}

function directories(words: readonly string[]): Effects | undefined {
  const { options, flags, operands } = splitOptions(words, ["-m", "--mode", "-o", "-g", "--owner", "--group"]);
  const makes = flags.some((flag) => /^(-[pdvZ]+|--directory|--parents)$/.test(flag));
  const mode = options["-m"] ?? options["--mode"] ?? "755";
  if (operands[0] === "/dev/null" && operands.length === 2 && known(words) && /^[0-7]+$/.test(mode)) {
    return { files: [{ path: operands[1]!, text: "", mode: Number.parseInt(mode, 8) }] };
  }
  if (!makes && flags.length > 0) return undefined;
  if (!known(words) || operands.length === 0 || !/^[0-7]+$/.test(mode)) return undefined;
  if (!operands.every((path) => path.startsWith("/"))) return undefined;
  const user = options["-o"] ?? options["--owner"];
  const group = options["-g"] ?? options["--group"];
  const owner = { ...(user === undefined ? {} : { user }), ...(group === undefined ? {} : { group }) };
  return { directories: operands.map((path) => ({ path, mode: Number.parseInt(mode, 8), ...owner })) };
}

function changeMode(words: readonly string[]): Effects | undefined {
  const { flags, operands } = splitOptions(words, []);
  const [mode, ...paths] = operands;
  if (!known(words) || flags.some((flag) => flag !== "-f") || !/^[0-7]{3,4}$/.test(mode ?? "")) return undefined;
  return { attributes: paths.map((path) => ({ path, mode: Number.parseInt(mode!, 8) })) };
}

function changeOwner(words: readonly string[]): Effects | undefined {
  const { flags, operands } = splitOptions(words, []);
  const [owner, ...paths] = operands;
  if (!known(words) || flags.some((flag) => !/^-[fhR]+$|^--recursive$/.test(flag)) || paths.length === 0)
    return undefined;
  const [user, group] = owner!.split(/[:.]/);
  const recursive = flags.some((flag) => flag === "--recursive" || flag.includes("R"));
  const change = {
    ...(user ? { user } : {}),
    ...(group ? { group } : {}),
    // chown(1): a colon without a group means the user's login group.
    ...(group === "" ? { loginGroup: true } : {}),
    ...(recursive ? { recursive } : {}),
  };
  return { attributes: paths.map((path) => ({ path, ...change })) };
}

function link(words: readonly string[]): Effects | undefined {
  const { flags, operands } = splitOptions(words, []);
  const [target, path, more] = operands;
  if (!known(words) || more !== undefined || !flags.every((flag) => /^-[sfn]+$|^--symbolic$|^--force$/.test(flag)))
    return undefined;
  if (!flags.some((flag) => flag.includes("s")) || path === undefined || !path.startsWith("/")) return undefined;
  return { links: [{ path: path.endsWith("/") ? `${path}${target!.split("/").pop()}` : path, target: target! }] };
}

function firstOperand(words: readonly string[]): number {
  return words.findIndex((word) => !word.startsWith("-"));
}

function splitOptions(
  words: readonly string[],
  withValue: readonly string[],
): { options: Record<string, string>; flags: string[]; operands: string[] } {
  const options: Record<string, string> = {};
  const flags: string[] = [];
  const operands: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--") {
      operands.push(...words.slice(i + 1));
      break;
    }
    const equals = /^(--[a-z-]+)=(.*)$/s.exec(word);
    if (equals) options[equals[1]!] = equals[2]!;
    else if (withValue.includes(word) && i + 1 < words.length && !isFlagHere(word, words, i))
      options[word] = words[++i]!;
    else if (word.startsWith("-") && word.length > 1) flags.push(word);
    else operands.push(word);
  }
  return { options, flags, operands };
}

/** adduser's `--group` takes no value, install's does. */
function isFlagHere(word: string, words: readonly string[], at: number): boolean {
  return word === "--group" && (words[at + 1]?.startsWith("-") ?? true);
}
