import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type Content, programFile, type Text, text, textFile } from "../language/text.ts";
import { credentials } from "../system/essential-credentials.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { systemdUnits, unit } from "../system/essential-units.ts";
import { gitConfigProgram } from "./git-config-program.ts";
import { state, stateFolder } from "./state.ts";
import { type Transformer, withServices } from "./transformers.ts";

/** A folder or file of the repository, what judges it, and what reads it. */
export interface GitConfigPart {
  /** Below the folder that is fetched; `""` is all of it. */
  readonly path: string;
  /** Reloaded when something in it has changed; those that are not running are left alone. */
  readonly units: readonly (string | { readonly unit: string; readonly verb: "reload" | "restart" })[];
  /**
   * Shell that ends with another status than 0 when the new files are wrong: the service's own checker. It sees them at
   * their later place, and below `$CANDIDATE`; no secrets.
   */
  readonly check?: Content;
}

export interface GitConfigOptions {
  readonly name: string;
  readonly repository: string;
  readonly branch: string;
  readonly parts: readonly GitConfigPart[];
  readonly folder?: string;
  readonly every?: string;
  readonly allowedSigners?: readonly string[];
  readonly allowRewrites?: boolean;
  readonly token?: { readonly user: string; readonly secret: Secret } | undefined;
  readonly sshKey?: Secret | undefined;
  readonly knownHosts?: readonly string[];
  readonly authority?: string | undefined;
  readonly mostFiles?: number;
  readonly mostBytes?: number;
  readonly longest?: number;
  readonly metricsFolder?: string;
}

/** Where the files are: `/var/lib/git-config/NAME/current`, a link that is exchanged in one step. */
export function gitConfigPlace(name: string): string {
  return `/var/lib/git-config/${name}/current`;
}

/** A part of the machine's configuration that comes from a git repository while it runs. */
export const gitConfig = serviceType<GitConfigOptions>({
  name: "git-config",
  description:
    "Fetches a part of the machine's configuration from a git repository, judges it, puts it in place in one step and reloads what reads it; the last good version stays when a change is refused or git is away.",
  options: {
    name: "Of the place, /var/lib/git-config/NAME/current, and of the unit git-config-NAME.service, which fetches at once.",
    repository: "Address: https://…, ssh://USER@HOST/PATH; http:// and file:/// where commits are signed.",
    branch: "The branch that is followed.",
    parts: "Which of its files are judged by what, and what is reloaded for them.",
    folder: 'Folder of the repository that is taken; "" for all of it.',
    every: 'How often it is looked at: 5min; "" for only when asked (systemctl start git-config-NAME).',
    allowedSigners: "Who must have signed the commit: lines of ssh-keygen(1), ALLOWED SIGNERS. Nobody need when empty.",
    allowRewrites: "Whether the branch may be set back or rewritten: else only what comes after what is applied.",
    token: "User and token for https; the token is a secret.",
    sshKey: "Private key for ssh; a secret.",
    knownHosts: "Lines of known_hosts for ssh: no other server is spoken to.",
    authority: "File of the certificate authority for https, where it is the site's own.",
    mostFiles: "A commit with more files is refused.",
    mostBytes: "A commit with more bytes is refused.",
    longest: "Seconds that fetching, or a check, may take.",
    metricsFolder: "Where metrics go as a text file for the node exporter, if the folder is there.",
  },
  defaults: {
    folder: "",
    every: "5min",
    allowedSigners: [],
    allowRewrites: false,
    token: undefined,
    sshKey: undefined,
    knownHosts: [],
    authority: undefined,
    mostFiles: 10_000,
    mostBytes: 64 * 1024 * 1024,
    longest: 120,
    metricsFolder: "/var/lib/prometheus/node-exporter",
  },
  instanceName: ({ name }) => name,
  validate: (options) => mistakes(options),
  extensions: [
    extend(profile, ({ repository }) => ["git", ...(transportOf(repository) === "ssh" ? ["openssh-client"] : [])]),
    extend(profile, ({ allowedSigners }) => (allowedSigners.length > 0 ? ["openssh-client"] : [])),
    extend(profile, ({ repository }) => (transportOf(repository) === "https" ? ["ca-certificates"] : [])),
    extend(credentials, ({ name, token, sshKey }) =>
      [token?.secret, sshKey].flatMap((secret) => (secret ? [{ secret, units: [`git-config-${name}.service`] }] : [])),
    ),
    extend(state, ({ name }) => [
      stateFolder("/var/lib/git-config", { mode: 0o755, units: [`git-config-${name}.service`] }),
    ]),
    extend(systemdUnits, (options) => units(options)),
    extend(checks, ({ name, every }) => (every === "" ? [] : [unitActive(`git-config-${name}.timer`)])),
  ],
});

/** With a part of its configuration from git: `withGitConfig({ name: "sites", repository: "https://…", … })`. */
export function withGitConfig(options: GitConfigOptions): Transformer {
  return withServices(gitConfig(options));
}

function units(options: Required<GitConfigOptions>) {
  const { name, every } = options;
  const timer = unit({
    name: `git-config-${name}.timer`,
    text: text`
      [Unit]
      Description=Times of configuration ${name} from git

      [Timer]
      OnActiveSec=1s
      OnUnitInactiveSec=${every}
      AccuracySec=1s

      [Install]
      WantedBy=timers.target
    `,
  });
  const service = unit({
    name: `git-config-${name}.service`,
    text: text`
      [Unit]
      Description=Configuration ${name} from git
      Wants=network-online.target
      After=network-online.target
      # The timer says how often, and what is refused is refused each time.
      StartLimitIntervalSec=0

      [Service]
      Type=oneshot
      # What it has to tell stands in systemctl status.
      NotifyAccess=all
      TimeoutStartSec=30min
      PrivateTmp=yes
      ProtectHome=yes
      NoNewPrivileges=yes
      ExecStart=${gitConfigProgram} ${settingsFile(options)}
    `,
  });
  return every === "" ? [service] : [timer, service];
}

function settingsFile(options: Required<GitConfigOptions>): Text {
  const { name, repository, branch, folder, parts, allowedSigners, knownHosts, token, sshKey, authority } = options;
  const list = (file: string, lines: readonly string[]) =>
    lines.length > 0 ? text`"${textFile(file, `${lines.join("\n")}\n`)}"` : "null";
  const said = (value: unknown) => JSON.stringify(value ?? null);
  const partOf = ({ path, units, check }: GitConfigPart): Text => {
    const wishes = units.map((one) => (typeof one === "string" ? { unit: one, verb: "reload" } : one));
    const program =
      check === undefined ? "null" : text`"${programFile("check-part", text`#!/bin/sh\nset -eu\n${check}\n`)}"`;
    return text`{ "path": ${said(path)}, "units": ${said(wishes)}, "check": ${program} }`;
  };
  const listed = parts.flatMap((part, i) => (i === 0 ? [partOf(part)] : [", ", partOf(part)]));
  return text`${textFile(
    `git-config-${name}.json`,
    text`{
  "name": ${said(name)}, "repository": ${said(repository)}, "branch": ${said(branch)}, "folder": ${said(folder)},
  "transport": ${said(transportOf(repository))}, "allowRewrites": ${said(options.allowRewrites ? 1 : 0)},
  "allowedSigners": ${list("allowed-signers", allowedSigners)}, "knownHosts": ${list("known-hosts", knownHosts)},
  "user": ${said(token?.user ?? "")}, "token": ${said(token?.secret.name ?? "")}, "sshKey": ${said(sshKey?.name ?? "")},
  "certificateAuthority": ${said(authority ?? "")}, "askpass": "${askpass}", "metricsFolder": ${said(options.metricsFolder)},
  "mostFiles": ${said(options.mostFiles)}, "mostBytes": ${said(options.mostBytes)}, "longest": ${said(options.longest)},
  "parts": [${listed.length > 0 ? listed.reduce((all, one) => text`${all}${one}`, text``) : ""}]
}
`,
  )}`;
}

/** git asks it for a user and a password; neither stands in an argument. */
const askpass = programFile(
  "git-askpass",
  text`
    #!/bin/sh
    case "$1" in
      Username*) printf '%s\\n' "$MESO_GIT_USER" ;;
      *) cat "$CREDENTIALS_DIRECTORY/$MESO_GIT_TOKEN" ;;
    esac
  `,
);

function transportOf(repository: string): string | undefined {
  const [, scheme] = /^(https|http|ssh|file):\/\/[^\s]+$/.exec(repository) ?? [];
  return scheme;
}

function mistakes(options: Required<GitConfigOptions>) {
  const { name, repository, branch, parts, folder, allowedSigners, token, sshKey, knownHosts } = options;
  const wrong = (field: string, found: unknown, expected: string) => ({
    ...{ code: "wrong-value", field, what: `found ${JSON.stringify(found)}` },
    expected,
  });
  const transport = transportOf(repository);
  const isFolder = (path: string) => path === "" || !/^\/|\/$|(^|\/)(\.\.?|\.git)?(\/|$)/.test(path);
  return [
    ...(/^[a-z][a-z0-9-]*$/.test(name) ? [] : [wrong("name", name, "lower-case letters, digits and -")]),
    ...(transport
      ? []
      : [wrong("repository", repository, "an address that begins with https://, ssh://, http:// or file://")]),
    ...(/^https?:\/\/[^/]*@/.test(repository)
      ? [wrong("repository", "an address with a user", "the user and a secret in token")]
      : []),
    ...((transport === "http" || transport === "file") && allowedSigners.length === 0
      ? [{ ...wrong("allowedSigners", [], "who signs"), hint: "nothing else vouches for what comes that way" }]
      : []),
    ...(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(branch) && !/\.\.|\/\/|\.lock$|\/$/.test(branch)
      ? []
      : [wrong("branch", branch, "the name of a branch: main")]),
    ...(isFolder(folder) ? [] : [wrong("folder", folder, "a folder below the top of the repository: web/sites")]),
    ...parts.flatMap(({ path }) => (isFolder(path) ? [] : [wrong("parts", path, "a path below that folder")])),
    ...(transport === "ssh" && !sshKey ? [wrong("sshKey", null, "a secret: the private key for ssh")] : []),
    ...(transport === "ssh" && knownHosts.length === 0
      ? [wrong("knownHosts", [], "the server's line of known_hosts")]
      : []),
    ...(token && transport !== "https" ? [wrong("token", token.user, "a repository by https")] : []),
  ];
}
