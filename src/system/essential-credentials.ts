import type { Complaint } from "../language/complaint.ts";
import { describe, factsOf } from "../language/record.ts";
import type { Secret } from "../language/secret.ts";
import type { Received } from "../language/service-type.ts";
import { extend } from "../language/service-type.ts";
import type { Content, Text } from "../language/text.ts";
import { asTextValue, bin, programFile, text, textFile } from "../language/text.ts";
import { collector, systemRoot } from "./essential-part.ts";
import type { UnitWish } from "./essential-units.ts";
import { dropIn, systemdUnits, unit } from "./essential-units.ts";

/** A secret that units of the system read as a systemd credential: `$CREDENTIALS_DIRECTORY/<name of the secret>`. */
export interface CredentialWish {
  readonly secret: Secret;
  /** They start once the secret has arrived: `["munge.service"]`. */
  readonly units: readonly string[];
}

/**
 * Secrets of the system, by reference. A machine gets their values from whoever starts it: QEMU and libvirt hand them
 * over as systemd credentials, elsewhere the guest agent writes them to /run/credstore (systemd.exec(5),
 * LoadCredential=). Units that need them wait until they are there.
 */
export const credentials = collector<CredentialWish>({
  name: "credentials",
  description: "Secrets that units read as systemd credentials; they reach the machine when it starts.",
  check: (value) => credentialMistakes(value as CredentialWish),
  extensions: [
    extend(systemRoot, ({ items }) => ({ credentials: items })),
    extend(systemdUnits, ({ items }) => (items.length === 0 ? [] : [arrivalUnit(items), ...loadDropIns(items)])),
  ],
});

/** A file with secrets in it, written to memory when the machine boots, for programs that read no credentials. */
export interface SecretFile {
  /** Below /run; folders on the way are made. */
  readonly path: string;
  /** Each `@NAME@` of it stands for the secret of that name in `secrets`. */
  readonly content: Content;
  readonly secrets: Readonly<Record<string, Secret>>;
  readonly mode: number;
  readonly user: string;
  readonly group: string;
  /** They start once the file is there. */
  readonly units: readonly string[];
}

/** Configuration that holds secrets, made by `secretFile`. */
export const secretFiles = collector<SecretFile>({
  name: "secret-files",
  description: "Files with secrets in them, written below /run when the machine boots.",
  check: (value) => secretFileMistakes(value as SecretFile),
  extensions: [
    extend(credentials, ({ items }) =>
      items.flatMap(({ value }) => Object.values(value.secrets).map((secret) => ({ secret, units: [writer] }))),
    ),
    extend(systemdUnits, ({ items }) => (items.length === 0 ? [] : writerUnits(items.map(({ value }) => value)))),
  ],
});

/**
 * A file below /run with secrets in its text: `secretFile({ path: "/run/slurmdbd/slurmdbd.conf", content:
 * "StoragePass=@PASS@\n", secrets: { PASS: secret("slurm-db") }, units: ["slurmdbd.service"] })`. Mode 0600 and root's
 * unless said. Values stand there without their last line's end.
 */
export function secretFile(
  given: Omit<SecretFile, "mode" | "user" | "group"> & Partial<Pick<SecretFile, "mode" | "user" | "group">>,
): SecretFile {
  return { mode: 0o600, user: "root", group: given.user ?? "root", ...given };
}

const arrival = "meso-credentials.service";
const writer = "meso-secret-files.service";

/** `opt/io.systemd.credentials/<name>` has 55 characters at most (QEMU, FW_CFG_MAX_FILE_PATH). */
const longestName = 28;

function credentialMistakes({ secret, units }: CredentialWish): Complaint[] {
  if (factsOf(secret)?.kind !== "secret") {
    return [{ code: "wrong-type", what: `found ${describe(secret)} as a secret`, expected: 'secret("name")' }];
  }
  const { name } = secret;
  const length = `the name of the secret ${name} has ${name.length} characters`;
  const limit = `${longestName} at most, as the firmware hands credentials over`;
  return [
    ...(name.length <= longestName ? [] : [{ code: "wrong-name", what: length, expected: limit }]),
    ...(Array.isArray(units) && units.length > 0
      ? []
      : [{ code: "missing-field", what: `no unit needs the secret ${name}`, expected: "names of units" }]),
  ];
}

function secretFileMistakes({ path, content, secrets }: SecretFile): Complaint[] {
  const isBelowRun = /^\/run(\/[A-Za-z0-9._-]+)+$/.test(path) && !path.split("/").includes("..");
  const words = new Set(asTextValue(content).parts.flatMap((part) => (typeof part === "string" ? marks(part) : [])));
  return [
    ...(isBelowRun ? [] : [{ code: "wrong-path", what: `found the path ${path}`, expected: "a path below /run" }]),
    ...Object.keys(secrets).flatMap((name): Complaint[] => {
      if (!/^[A-Z][A-Z0-9_]*$/.test(name)) {
        return [{ code: "wrong-name", what: `found ${name}`, expected: "capitals, digits and _" }];
      }
      return words.has(name) ? [] : [{ code: "unused-secret", what: `@${name}@ stands nowhere in ${path}` }];
    }),
  ];
}

function marks(part: string): string[] {
  return [...part.matchAll(/@([A-Z][A-Z0-9_]*)(?=@)/g)].map((match) => match[1]!);
}

/** Everybody who waits for a secret waits here, and the console tells what for. */
function arrivalUnit(items: readonly Received<CredentialWish>[]): UnitWish {
  const names = sortedOnce(items.map(({ value }) => value.secret.name));
  const program = programFile(
    "await-credentials",
    text`
      #!/bin/sh
      # Ends once each of the named credentials is at a place where systemd looks for them. Where nobody hands them over
      # at the start, what the machine was given last time lies on its state volume.
      set -eu
      if [ -d /var/lib/meso/credstore ]; then
        mkdir -p -m 700 /run/credstore
        for kept in /var/lib/meso/credstore/*; do
          [ ! -f "$kept" ] || [ -e "/run/credstore/\${kept##*/}" ] || cp -p "$kept" /run/credstore/
        done
      fi
      told=
      while :; do
        missing=
        for name in "$@"; do
          [ -e "/run/credentials/@system/$name" ] || [ -e "/run/credstore/$name" ] || missing="$missing $name"
        done
        [ -n "$missing" ] || exit 0
        if [ "$told" != "$missing" ]; then
          told=$missing
          echo "waiting for secrets:$missing" >&2
          { echo "meso: waiting for secrets:$missing" > /dev/console; } 2>/dev/null || :
        fi
        sleep 1
      done
    `,
  );
  return unit({
    name: arrival,
    text: text`
      [Unit]
      Description=Arrival of this machine's secrets
      After=var-lib-meso.mount

      [Service]
      Type=oneshot
      RemainAfterExit=yes
      TimeoutStartSec=infinity
      ExecStart=${program} ${names.join(" ")}
    `,
  });
}

function loadDropIns(items: readonly Received<CredentialWish>[]): UnitWish[] {
  const wanted = items.flatMap(({ value }) => value.units.map((unitName) => ({ unitName, name: value.secret.name })));
  return [...Map.groupBy(wanted, ({ unitName }) => unitName)].map(([unitName, all]) =>
    dropIn(unitName, "meso-credentials", {
      text: text`
        [Unit]
        Requires=${arrival}
        After=${arrival}

        [Service]
        ${sortedOnce(all.map(({ name }) => name)).map((name) => `LoadCredential=${name}`)}
      `,
    }),
  );
}

function writerUnits(files: readonly SecretFile[]): UnitWish[] {
  const ordered = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const waiting = sortedOnce(files.flatMap(({ units }) => units));
  return [
    unit({
      name: writer,
      text: text`
        [Unit]
        Description=Files with secrets of this machine

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ${ordered.map(writeCommand)}
      `,
    }),
    ...waiting.map((name) =>
      dropIn(name, "meso-secret-files", { text: text`[Unit]\nRequires=${writer}\nAfter=${writer}\n` }),
    ),
  ];
}

function writeCommand({ path, content, secrets, mode, user, group }: SecretFile): Text {
  const template = textFile(`${path.slice(path.lastIndexOf("/") + 1).replace(/^\./, "_")}.template`, content);
  const pairs = Object.entries(secrets).map(([name, { name: credential }]) => `${name}=${credential}`);
  const owner = [mode.toString(8).padStart(4, "0"), user, group].join(" ");
  return text`ExecStart=${writeSecretFile()} ${path} ${owner} ${template} ${pairs.sort().join(" ")}`;
}

/** Perl is in every Debian system, and substitutes text without giving its characters a meaning. */
function writeSecretFile() {
  return programFile(
    "write-secret-file",
    text`
      #!${bin("perl-base", "perl")}
      # PATH MODE USER GROUP TEMPLATE NAME=CREDENTIAL...: writes the template with its secrets, aside and renamed.
      use strict;
      use warnings;
      my ($path, $mode, $user, $group, $template, @pairs) = @ARGV;
      umask 0077;
      sub contents { open(my $file, "<", $_[0]) or die "$_[0]: $!\\n"; local $/; return <$file> // ""; }
      my %secret;
      for my $pair (@pairs) {
        my ($name, $credential) = split(/=/, $pair, 2);
        ($secret{$name} = contents("$ENV{CREDENTIALS_DIRECTORY}/$credential")) =~ s/\\r?\\n\\z//;
      }
      (my $text = contents($template)) =~ s{\\x40([A-Z][A-Z0-9_]*)\\x40}{$secret{$1} // "\\x40$1\\x40"}ge;
      my $folder = "";
      for my $part (grep { $_ ne "" } split(m{/}, $path =~ s{/[^/]*\\z}{}r)) {
        $folder .= "/$part";
        next if -d $folder;
        mkdir($folder) or die "$folder: $!\\n";
        chmod(0755, $folder) or die "$folder: $!\\n";
      }
      my $uid = getpwnam($user) // die "no user $user\\n";
      my $gid = getgrnam($group) // die "no group $group\\n";
      open(my $file, ">", "$path.new") or die "$path.new: $!\\n";
      print $file $text or die "$path.new: $!\\n";
      close($file) or die "$path.new: $!\\n";
      chown($uid, $gid, "$path.new") or die "$path.new: $!\\n";
      chmod(oct($mode), "$path.new") or die "$path.new: $!\\n";
      rename("$path.new", $path) or die "$path: $!\\n";
    `,
  );
}

function sortedOnce(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
