import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import {
  baseFileSystems,
  baseServices,
  bookworm,
  endpoint,
  fileSystem,
  inventory,
  label,
  network,
  operatingSystem,
  type Service,
  secret,
} from "../index.ts";
import { lowerSystem } from "../system/lower.ts";
import { autofs, mariadb, nfsClient, nfsServer, postgresql } from "./index.ts";
import { mountUnitName } from "./mount-units.ts";

const { hosts } = inventory({
  domain: "example.org",
  networks: { lan: network({ name: "lan", range: "10.78.0.0/24" }) },
  machines: { one: { lan: "10.78.0.1" } },
});

function manifestOf(...services: readonly Service[]) {
  return lowerSystem(systemOf(services));
}

function systemOf(services: readonly Service[], channel = {}) {
  return operatingSystem({
    ...{ hostName: "one", ...channel },
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    services: [...baseServices, ...services],
  });
}

function textOf({ files }: ReturnType<typeof manifestOf>, ending: string): string {
  const file = files.find((one) => one.kind === "file" && one.path.endsWith(ending));
  assert.ok(file?.kind === "file", `no ${ending}`);
  return file.text;
}

test("mount units are named as systemd names them", () => {
  const paths = ["/", "/mnt/da-ta", "/srv/.hidden/a b", "/.first", "/home/é", "/a_b:c.d/@x", "/mnt/end/"];
  for (const path of paths) {
    const theirs = execFileSync("systemd-escape", ["--path", "--suffix=mount", path], { encoding: "utf8" });
    assert.equal(mountUnitName(path, "mount"), theirs.trim());
  }
});

test("exports are lines of exports(5), each known by a number of its own that stays", () => {
  const text = textOf(
    manifestOf(
      nfsServer({
        exports: [
          { path: "/srv/a", clients: [{ from: "10.0.0.0/8" }, { from: "*", access: "read-only", squash: "all" }] },
          { path: "/srv/b", clients: [{ from: "*.example.org", sync: false, options: ["sec=krb5p"] }] },
        ],
      }),
    ),
    "/etc/exports",
  );
  const [a, b] = text.trimEnd().split("\n") as [string, string];
  const shape = (line: string) => line.replaceAll(/fsid=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "fsid=F");
  assert.equal(
    shape(a),
    "/srv/a 10.0.0.0/8(rw,sync,root_squash,no_subtree_check,fsid=F) *(ro,sync,all_squash,no_subtree_check,fsid=F)",
  );
  assert.equal(shape(b), "/srv/b *.example.org(rw,async,root_squash,no_subtree_check,fsid=F,sec=krb5p)");
  assert.notEqual(/fsid=[^,]*/.exec(a)![0], /fsid=[^,]*/.exec(b)![0]);
});

test("what is no export, mount or map is refused", () => {
  const all = [{ from: "*" }];
  const exported = (...exports: Parameters<typeof nfsServer>[0]["exports"]) => manifestOf(nfsServer({ exports }));
  assert.throws(() => exported({ path: "srv", clients: all }), /absolute path/);
  assert.throws(() => exported({ path: "/a b", clients: all }), /absolute path/);
  assert.throws(() => exported({ path: "/a", clients: [] }), /nobody may mount/);
  assert.throws(() => exported({ path: "/a", clients: [{ from: "10.0.0.0/40" }] }), /10\.0\.0\.0\/40/);
  assert.throws(() => exported({ path: "/a", clients: [{ from: "*", options: ["rw) *(rw"] }] }), /exports\(5\)/);
  assert.throws(() => exported({ path: "/a", clients: all }, { path: "/a", clients: all }), /twice/);
  const server = endpoint("nfs", hosts.one);
  assert.throws(() => manifestOf(nfsClient({ mounts: [{ server, path: "/a", at: "/b c" }] })), /without spaces/);
  const map = (key: string, location: string, mountPoint = "/h") =>
    manifestOf(autofs({ maps: [{ mountPoint, entries: [{ key, location }] }] }));
  assert.throws(() => map("a b", "one:/a"), /a name/);
  assert.throws(() => map("a", "one"), /server:\/path/);
  assert.throws(() => map("a", "one:/a", "/-"), /an absolute path/);
});

test("users of MariaDB that come from elsewhere need a password, and databases must be declared", () => {
  const user = (given: object) => () =>
    manifestOf(mariadb({ databases: [{ name: "a" }], users: [{ name: "u", ...given }] }));
  assert.throws(user({ host: "10.%" }), /has no password/);
  assert.throws(user({ grants: [{ database: "b" }] }), /may use b, which is not declared/);
  assert.throws(user({ name: "u'; DROP" }), /letters, digits/);
  assert.throws(user({ host: "x' y", password: secret("p") }), /comes from/);
  assert.throws(user({ grants: [{ database: "a", privileges: ["SELECT; DROP"] }] }), /privilege/);
  assert.throws(() => manifestOf(mariadb({ listenAddresses: ["everywhere"] })), /an IP address/);
  const manifest = manifestOf(mariadb());
  assert.match(textOf(manifest, "-mariadb.cnf"), /^skip-networking$/m, "nobody reaches it who need not");
});

test("PostgreSQL is the one of the release, unless its version is said", () => {
  const packages = (options: Parameters<typeof postgresql>[0], channel = {}) =>
    lowerSystem(systemOf([postgresql(options)], channel)).packages.map(({ name }) => name);
  assert.ok(packages({}).includes("postgresql-17"));
  assert.ok(packages({}, { channel: bookworm }).includes("postgresql-15"));
  assert.ok(packages({ version: 16 }).includes("postgresql-16"));
});

test("roles of PostgreSQL come from where they may, with a password", () => {
  const manifest = manifestOf(
    postgresql({
      roles: [
        { name: "app", password: secret("p"), from: ["10.0.0.0/8", "10.1.2.3", "2001:db8::1"] },
        { name: "local" },
      ],
      standbys: [{ name: "two", address: "10.78.0.2", password: secret("q") }],
    }),
  );
  assert.deepEqual(textOf(manifest, "-pg_hba.conf").trimEnd().split("\n"), [
    "local all app scram-sha-256",
    "local all all peer",
    "local replication postgres peer",
    "host all app 10.0.0.0/8 scram-sha-256",
    "host all app 10.1.2.3/32 scram-sha-256",
    "host all app 2001:db8::1/128 scram-sha-256",
    "host replication two 10.78.0.2/32 scram-sha-256",
  ]);
  const wrong = (options: Parameters<typeof postgresql>[0], pattern: RegExp) =>
    assert.throws(() => manifestOf(postgresql(options)), pattern);
  wrong({ roles: [{ name: "a", from: ["10.0.0.0/8"] }] }, /has no password/);
  wrong({ roles: [{ name: 'a"b' }] }, /small letters/);
  wrong({ databases: [{ name: "a", owner: "nobody" }] }, /who is no role/);
  wrong({ databases: [{ name: "a", extensions: ['x"'] }] }, /the extension/);
  wrong({ standbys: [{ name: "a-b", address: "10.0.0.1", password: secret("p") }] }, /digits and _/);
  wrong({ backups: { at: "daily", kind: "dump", keep: 0 } }, /1 or more/);
  const follows = { server: endpoint("postgresql", hosts.one), name: "two", password: secret("q") };
  wrong({ follows, databases: [{ name: "a" }] }, /those of its primary/);
});

test("a standby's password reaches libpq's file with whatever characters it has", () => {
  const follows = { server: endpoint("postgresql", hosts.one), name: "two", password: secret("q") };
  const program = textOf(manifestOf(postgresql({ follows })), "-postgresql-first-start");
  const command = /"\$\((sed .*) "\$CREDENTIALS_DIRECTORY/.exec(program)![1]!;
  const written = execFileSync("sh", ["-c", command], { input: "a:b\\c&d", encoding: "utf8" });
  assert.equal(written, "a\\:b\\\\c&d");
});
