import assert from "node:assert/strict";
import { test } from "node:test";
import {
  baseFileSystems,
  baseServices,
  dhcpNetworking,
  endpoint,
  fileSystem,
  inventory,
  label,
  modifyServices,
  network,
  type OperatingSystem,
  operatingSystem,
  pipe,
  remove,
  type Service,
  secret,
  slurmDrain,
  staticNetworking,
  userAccount,
} from "../index.ts";
import { testSession } from "../test-support/test-session.ts";
import { type MachineUnderTest, withMachines } from "../testing/index.ts";
import {
  autofs,
  firewall,
  lvm,
  mariadb,
  mdadm,
  munge,
  nfsClient,
  nfsServer,
  podman,
  postgresql,
  quotas,
  slurmCluster,
  slurmctld,
  slurmd,
  slurmdbd,
  slurmLogin,
  slurmNodes,
  slurmrestd,
  swap,
  withStateVolume,
} from "./index.ts";

const lan = network({ name: "lan", range: "10.78.0.0/24" });
const { hosts } = inventory({
  domain: "example.org",
  networks: { lan },
  machines: { head: { lan: "10.78.0.1" }, "cn-1": { lan: "10.78.0.11" }, "cn-2": { lan: "10.78.0.12" } },
});

const cluster = slurmCluster({
  name: "waves",
  controllers: [endpoint("slurmctld", hosts.head)],
  accounting: endpoint("slurmdbd", hosts.head),
  nodes: slurmNodes([hosts["cn-1"], hosts["cn-2"]], { cpus: 1, memory: "300MiB" }),
  partitions: [{ name: "standard", nodes: "all", isDefault: true, maxTime: "1:00:00" }],
  enforce: ["associations"],
  tokens: true,
});
const tokenKey = secret("token-key");
const replication = secret("replication");
const allow = ["10.78.0.0/24"];

const arrayId = "01234567:89abcdef:01234567:89abcdef";

const secrets = {
  "munge-key": "the same on all machines of this cluster",
  "token-key": "0123456789abcdef0123456789abcdef",
  "app-password": 'it\'s "quoted" \\ and `more` $(x) @KEY@',
  replication: "goes: after:the \\primary",
};

test("jobs with accounting, shared folders, databases with a standby; and all is there after the power failed, on a new root", async () => {
  const session = testSession();
  const head = machine(
    "head",
    mariadb({
      databases: [{ name: "slurm_acct_db" }, { name: "app" }],
      users: [
        { name: "slurm", grants: [{ database: "slurm_acct_db" }] },
        { name: "app", host: "10.78.0.%", password: secret("app-password"), grants: [{ database: "app" }] },
      ],
      ...{ listenAddresses: ["10.78.0.1"], allow },
    }),
    slurmdbd({ tokenKey, allow, purge: { jobs: "24month" } }),
    slurmctld({ cluster, tokenKey, allow }),
    slurmrestd({ cluster }),
    slurmLogin({ cluster, allow }),
    nfsServer({
      exports: [
        {
          ...{ path: "/srv/data", folder: { user: "alice" } },
          clients: [{ from: "10.78.0.11", access: "read-only" }, { from: "10.78.0.0/24" }],
        },
        { path: "/srv/homes/alice", folder: { user: "alice", mode: 0o700 }, clients: [{ from: "10.78.0.0/24" }] },
      ],
      allow,
    }),
    postgresql({
      roles: [{ name: "app", password: secret("app-password"), from: ["10.78.0.0/24"] }, { name: "alice" }],
      databases: [{ name: "app", owner: "app", extensions: ["pg_trgm"] }],
      standbys: [{ name: "follower", address: hosts["cn-2"].address, password: replication }],
      backups: { at: "daily", kind: "dump", keep: 2 },
      ...{ listenAddresses: ["10.78.0.1"], allow },
    }),
    firewall({ policy: "closed" }),
  );
  const compute = [
    slurmd({ cluster, allow }),
    autofs({ maps: [{ mountPoint: "/homes", entries: [{ key: "*", location: "10.78.0.1:/srv/homes/&" }] }] }),
    nfsClient({ mounts: [{ server: endpoint("nfs", hosts.head), path: "/srv/data", at: "/mnt/da-ta" }] }),
  ];
  const first = machine(
    "cn-1",
    ...compute,
    podman({
      containers: [
        {
          ...{ name: "hello", image: "localhost/busybox", ports: [8080], folders: { "/www": "/srv/www" } },
          ...{ command: ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"], starts: "by-hand" },
          secrets: { word: secret("app-password") },
        },
      ],
    }),
    quotas({ limits: [{ user: "alice", mountPoint: "/", space: "10MiB" }] }),
    firewall({ policy: "closed" }),
  );
  const second = machine(
    "cn-2",
    ...compute,
    mdadm({ arrays: [{ name: "data", uuid: arrayId }] }),
    lvm({ groups: ["space"] }),
    swap({ files: [{ path: "/var/swap", size: "64MiB" }] }),
    postgresql({ follows: { server: endpoint("postgresql", hosts.head), name: "follower", password: replication } }),
  );
  const memory = { head: "1GiB", "cn-1": "512MiB", "cn-2": "640MiB" };
  await withMachines(
    {
      head: { os: pipe(head, withStateVolume({ size: "2GiB" })), memory: memory.head, volumes: { state: "3GiB" } },
      "cn-1": { os: first, memory: memory["cn-1"] },
      "cn-2": { os: second, memory: memory["cn-2"], volumes: { one: "64MiB", two: "64MiB" } },
    },
    async ({ head, "cn-1": first, "cn-2": second }) => {
      // Disks that somebody prepared, and that are found again when they appear.
      const disks = "$(lsblk --nodeps --noheadings --paths --output=NAME,SERIAL | awk '/ (one|two)$/ { print $1 }')";
      await second.succeeds(`mdadm --create /dev/md/data --run --level=1 --raid-devices=2 --uuid=${arrayId} ${disks}`);
      await second.succeeds("vgcreate space /dev/md/data && lvcreate --name scratch --size 20M space");
      await second.succeeds("vgchange --activate n space && mdadm --stop /dev/md/data && test ! -e /dev/space/scratch");
      await second.succeeds(`udevadm trigger --action=add ${disks}`);
      await second.waitUntilSucceeds("test -e /dev/space/scratch");
      await Promise.all([head, first, second].map((each) => each.passesChecks(120)));
      const nodes = [first, second];

      // A job on two nodes writes into a home that appears on each, over NFS.
      await head.succeeds("sacctmgr --immediate add account physics");
      await head.succeeds("sacctmgr --immediate add user alice account=physics");
      await head.waitUntilSucceeds('test "$(sinfo --noheader --states=idle --format=%D)" = 2');
      const submit = "sbatch --wait --nodes=2 --output=/homes/alice/job --chdir=/tmp --wrap 'srun hostname | sort'";
      await head.succeeds(`runuser -u alice -- ${submit}`, 120);
      assert.equal(await head.succeeds("cat /srv/homes/alice/job"), "cn-1\ncn-2");
      assert.match(await head.fails(`runuser -u bob -- ${submit}`), /Invalid account/);
      const accounting = "sacct --allusers --allocations --noheader --parsable2 --format=user,account,nnodes,state";
      await head.waitUntilSucceeds(`${accounting} | grep -qx 'alice|physics|2|COMPLETED'`);
      assert.match(await head.succeeds(rest("/slurmdb/v0.0.42/jobs/")), /"account": *"physics"/);

      await drainsAndResumes(head, "cn-1");

      // Another key is another world.
      const strange = "/run/strange";
      await head.succeeds(
        `install -d -m 711 ${strange} && head -c 64 /dev/zero > ${strange}/key && chmod 400 ${strange}/key`,
      );
      await head.succeeds(
        `munged --force --key-file=${strange}/key --socket=${strange}/s --pid-file=${strange}/p --seed-file=${strange}/r --log-file=${strange}/l`,
      );
      assert.match(await head.fails(`munge --no-input --socket=${strange}/s | unmunge`), /Invalid credential/);

      await second.succeeds("runuser -u alice -- sh -c 'echo written > /mnt/da-ta/file'");
      assert.equal(await head.succeeds("cat /srv/data/file"), "written");
      assert.equal(await first.succeeds("cat /mnt/da-ta/file"), "written");
      assert.match(await first.fails("runuser -u alice -- touch /mnt/da-ta/other"), /Read-only/);
      assert.match(await second.fails("touch /mnt/da-ta/as-root"), /denied/);

      await head.writeFile("/run/password", secrets["app-password"]);
      const asUser = 'MYSQL_PWD="$(cat /run/password)" mariadb --no-defaults --host=10.78.0.1 --user=app';
      await head.succeeds(`${asUser} app --execute='CREATE TABLE t (n INT)'`);
      assert.match(await head.fails(`${asUser} slurm_acct_db --execute='SHOW TABLES'`), /denied/);
      await head.succeeds("echo wrong > /run/password");
      assert.match(await head.fails(`${asUser} app --execute='SHOW TABLES'`), /denied/);

      // Rows, by the network with a password, and at the one who follows.
      await second.writeFile("/run/pgpass", '*:*:*:*:it\'s "quoted" \\\\ and `more` $(x) @KEY@\n');
      await second.succeeds("chmod 600 /run/pgpass");
      const asApp = "PGPASSFILE=/run/pgpass psql --no-password -h 10.78.0.1 -U app app -qAtc";
      await second.succeeds(`${asApp} "CREATE TABLE t (word text); INSERT INTO t VALUES ('kept')"`);
      const trigram = "SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'";
      assert.equal(await second.succeeds(`${asApp} "${trigram}"`), "pg_trgm");
      assert.match(await second.fails("psql -h 10.78.0.1 -U app --no-password app -c 'SELECT 1'"), /no password/);
      const atFollower = "runuser -u postgres -- psql -qAt app -c";
      await second.waitUntilSucceeds(`${atFollower} 'SELECT word FROM t' | grep -qx kept`);
      assert.match(await second.fails(`${atFollower} "INSERT INTO t VALUES ('x')"`), /read-only transaction/);
      await head.succeeds("systemctl start postgresql-backup", 120);
      await head.succeeds("pg_restore --list /var/backups/postgresql/*Z/app.dump | grep -q 'TABLE DATA public t'");

      // A container that is a service, of an image that is here already.
      await first.succeeds("tar -C / -cf - bin/busybox | podman import --quiet - localhost/busybox", 120);
      await first.succeeds("echo hello > /srv/www/index.html && systemctl start hello", 120);
      await head.waitUntilSucceeds("curl -sS -f http://10.78.0.11:8080/ | grep -qx hello");
      assert.equal(
        await first.succeeds("podman exec hello /bin/busybox cat /run/secrets/word"),
        secrets["app-password"],
      );

      const fill = "runuser -u alice -- dd if=/dev/zero of=/var/tmp/full bs=1M count=";
      await first.succeeds(`${fill}8`);
      assert.match(await first.fails(`${fill}12`), /quota exceeded/i);

      // The power fails, and the machine comes back with a new root: what services keep lies on its state volume.
      await head.kill();
      head.freshRoot();
      await head.start();
      await head.passesChecks(120);
      assert.equal(await second.succeeds(`${asApp} 'SELECT word FROM t'`), "kept");
      await head.succeeds(`${accounting} | grep -qx 'alice|physics|2|COMPLETED'`);
      assert.equal(await second.succeeds("cat /mnt/da-ta/file", 120), "written");
      await Promise.all(nodes.map((node) => comesBack(head, node)));
    },
    { lock: session.lockFile, store: session.store.directory, secrets },
  );
});

/** Asks slurmrestd with a token of root's. */
function rest(path: string): string {
  return `export $(scontrol token lifespan=600) && curl -sS -f -H "X-SLURM-USER-TOKEN: $SLURM_JWT" http://127.0.0.1:6820${path}`;
}

/** As a deployment does it, with a node of nobody and with one that somebody drained before. */
async function drainsAndResumes(head: MachineUnderTest, node: string): Promise<void> {
  const { before, after } = slurmDrain({ controller: "head", node });
  const run = async (words: readonly string[]) =>
    assert.equal((await head.agent().exec(words, { deadline: 60 })).exitCode, 0);
  const told = () => head.succeeds(`sinfo --noheader --nodes=${node} --format='%T %E'`);
  await run(before);
  assert.equal(await told(), "drained mesoforge");
  await run(after);
  await head.waitUntilSucceeds(`sinfo --noheader --nodes=${node} --format=%T | grep -qx idle`);
  await head.succeeds(`scontrol update nodename=${node} state=drain reason=memory`);
  await run(before);
  await run(after);
  assert.equal(await told(), "drained memory");
  await head.succeeds(`scontrol update nodename=${node} state=resume`);
}

async function comesBack(head: MachineUnderTest, { name }: MachineUnderTest): Promise<void> {
  await head.waitUntilSucceeds(`srun --nodelist=${name} --account=root hostname | grep -qx ${name}`, 120);
}

function machine(name: keyof typeof hosts, ...services: readonly Service[]): OperatingSystem {
  const root = { device: label("root"), mountPoint: "/", type: "ext4" } as const;
  return operatingSystem({
    hostName: name,
    fileSystems: [fileSystem({ ...root, options: name === "cn-1" ? ["usrquota"] : [] }), ...baseFileSystems],
    kernelArguments: ["console=tty0", "console=ttyS0,115200"],
    packages: ["iproute2", "curl", "procps", "systemd-sysv", ...(name === "cn-1" ? ["busybox-static"] : [])],
    users: [userAccount({ name: "alice" }), userAccount({ name: "bob" })],
    services: [
      ...modifyServices(baseServices, remove(dhcpNetworking)),
      staticNetworking({ eth0: hosts[name].on("lan") }),
      munge({ key: secret("munge-key") }),
      ...services,
    ],
  });
}
