import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { projectFolder } from "../test-support/meso-process.ts";

// Wrong programs, each with the error that the compiler must give, in its own words: what a person's editor shows.

const site = `
import { endpoint, inventory, network, port, secret } from "mesoforge";
export const cluster = network({ name: "cluster", range: "10.141.0.0/16" });
export const { hosts } = inventory({
  domain: "example.org",
  networks: { cluster },
  machines: { "ldap-1": { cluster: "10.141.0.11" }, ctld: { cluster: "10.141.0.20" }, gate: { cluster: "10.141.0.1" } },
});
export const ldap = endpoint("ldap", hosts["ldap-1"]);
export const web = endpoint("http", hosts.gate, { port: port("http", 8080) });
export const key = secret("munge-key");
export const root = { label: "root", mountPoint: "/", type: "ext4" } as const;
`;

interface WrongProgram {
  readonly what: string;
  readonly program: string;
  /** In a line of the compiler's that names the program. */
  readonly error: RegExp;
}

const programs: readonly WrongProgram[] = [
  {
    what: "a machine that the site does not have",
    program: 'import { hosts } from "./site.ts";\nexport const address = hosts["ldap-2"].address;',
    error: /TS2551: Property 'ldap-2' does not exist .* Did you mean 'ldap-1'\?/,
  },
  {
    what: "a misspelt machine",
    program: 'import { hosts } from "./site.ts";\nexport const address = hosts.ctdl.address;',
    error: /TS2339: Property 'ctdl' does not exist on type .*HostEntry/,
  },
  {
    what: "another kind of endpoint",
    program: `import { unbound } from "mesoforge/services";
import { web } from "./site.ts";
export default unbound({ forwardZones: [{ name: "example.org", servers: [web] }] });`,
    error: /Type 'Endpoint<"http">' is not assignable to type 'Endpoint<"dns">'/,
  },
  {
    what: "a kind of endpoint that there is not",
    program:
      'import { endpoint } from "mesoforge";\nimport { hosts } from "./site.ts";\nexport default endpoint("ldpa", hosts.gate);',
    error: /TS2345: Argument of type '"ldpa"' is not assignable to parameter of type '"apt-cache" \| "dns"/,
  },
  {
    what: "a port of another kind",
    program: `import { endpoint, port } from "mesoforge";
import { hosts } from "./site.ts";
export default endpoint("ldap", hosts.gate, { port: port("http", 8080) });`,
    error: /TS2322: Type 'Port<"http">' is not assignable to type 'Port<"ldap"> \| undefined'/,
  },
  {
    what: "a plain number as a port",
    program:
      'import { endpoint } from "mesoforge";\nimport { hosts } from "./site.ts";\nexport default endpoint("ldap", hosts.gate, { port: 1389 });',
    error: /TS2322: Type 'number' is not assignable to type 'Port<"ldap">'/,
  },
  {
    what: "a network that the site does not have",
    program: 'import { hosts } from "./site.ts";\nexport default hosts.gate.on("storage");',
    error: /TS2345: Argument of type '"storage"' is not assignable to parameter of type '"cluster"'/,
  },
  {
    what: "an address in a network that is not among those of the inventory",
    program: `import { inventory } from "mesoforge";
import { cluster } from "./site.ts";
export default inventory({ domain: "x.org", networks: { cluster }, machines: { a: { storage: "10.0.0.1" } } });`,
    error: /TS2353: .*'storage' does not exist in type/,
  },
  {
    what: "a secret in text",
    program: [
      'import { text } from "mesoforge";',
      'import { key } from "./site.ts";',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the program's template.
      "export default text`password=${key}`;",
    ].join("\n"),
    error: /TS2345: .*is not assignable to parameter of type 'Interpolated'/,
  },
  {
    what: "a secret as the contents of a file",
    program:
      'import { etcFile } from "mesoforge";\nimport { key } from "./site.ts";\nexport default etcFile("/etc/key", key);',
    error: /TS2345: .*is not assignable to parameter of type '.*(Content|GeneratedFile)/,
  },
  {
    what: "a text where a secret belongs",
    program: `import { proxmox } from "mesoforge";
export default proxmox({ url: "https://pve:8006", token: "root@pam!meso=1234" });`,
    error: /TS2322: Type 'string' is not assignable to type '.*Secret|TS2322: Type '"root@pam!meso=1234"'/,
  },
  {
    what: "an option that a service does not have",
    program: 'import { openssh } from "mesoforge/services";\nexport default openssh({ prot: 2222 });',
    error: /TS2353: .*'prot' does not exist in type 'Readonly<OpensshOptions>'/,
  },
  {
    what: "an option that is missing",
    program: 'import { squid } from "mesoforge/services";\nexport default squid({ clients: [] });',
    error: /TS2741: Property 'allowedSites' is missing .* required in type 'Readonly<SquidOptions>'/,
  },
  {
    what: "a label where a device belongs, as plain text",
    program: `import { fileSystem } from "mesoforge";
export default fileSystem({ device: "root", mountPoint: "/", type: "ext4" });`,
    error: /TS2322: Type '"root"' is not assignable to type 'Device'/,
  },
  {
    what: "a machine of a centre without a system",
    program: 'import { machine } from "mesoforge";\nexport default machine({ memory: "1GiB" });',
    error: /TS2741: Property 'os' is missing/,
  },
  {
    what: "a transformer that was not made",
    program: `import { fileSystem, label, operatingSystem, pipe } from "mesoforge";
import { withDebugTools } from "mesoforge/services";
const os = operatingSystem({ hostName: "a", fileSystems: [fileSystem({ device: label("r"), mountPoint: "/", type: "ext4" })] });
export default pipe(os, withDebugTools);`,
    error: /TS2345: Argument of type 'OperatingSystem' is not assignable to parameter of type 'PackageWish'/,
  },
  {
    what: "a contribution of the wrong type",
    program: `import { firewall, extend } from "mesoforge";
export default extend(firewall, () => ["tcp dport 22"]);`,
    error: /TS2322: Type 'string' is not assignable to type 'Opening'/,
  },
];

const cache = join(projectFolder, ".cache");
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, "wrong-programs-"));
after(() => rmSync(folder, { recursive: true, force: true }));

writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: "../../tsconfig.json", include: ["."] }));
writeFileSync(join(folder, "site.ts"), site);
for (const [index, { program }] of programs.entries()) {
  writeFileSync(join(folder, `program-${index}.ts`), `${program}\n`);
}
const { stdout } = spawnSync(
  join(projectFolder, "node_modules/.bin/tsc"),
  ["--noEmit", "--pretty", "false", "-p", "."],
  {
    cwd: folder,
    encoding: "utf8",
  },
);
/** What the compiler says of each file: an error, and the lines below that explain it. */
const said = stdout.split(/\n(?=\S+\.ts\()/);

for (const [index, { what, error }] of programs.entries()) {
  test(`the compiler refuses ${what}`, () => {
    const ours = said.filter((one) => one.startsWith(`program-${index}.ts(`));
    assert.equal(ours.length, 1, `one error, not ${ours.length}:\n${ours.join("\n")}\n${index}`);
    assert.match(ours[0]!, error);
  });
}

test("what they share is right", () => {
  assert.deepEqual(
    said.filter((one) => !one.startsWith("program-") && one.trim() !== ""),
    [],
  );
});
