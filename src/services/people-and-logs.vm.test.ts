import assert from "node:assert/strict";
import { test } from "node:test";
import {
  baseFileSystems,
  baseServices,
  dhcpNetworking,
  endpoint,
  etcFile,
  etcFiles,
  fileSystem,
  inventory,
  label,
  modifyServices,
  nameResolution,
  network,
  type OperatingSystem,
  operatingSystem,
  remove,
  type Service,
  secret,
  simpleService,
  staticNetworking,
  systemdUnits,
  unit,
} from "../index.ts";
import { testSession } from "../test-support/test-session.ts";
import { type MachineUnderTest, withMachines } from "../testing/index.ts";
import {
  aptCacherNg,
  bastion,
  hardening,
  journalRemote,
  journalUpload,
  ldapGroup,
  ldapHosts,
  ldapPerson,
  logrotate,
  mailRelay,
  nginx,
  nodeExporter,
  nscd,
  nslcd,
  openssh,
  organizationalUnit,
  slapd,
  sssd,
  timer,
  users,
} from "./index.ts";

const lan = network({ name: "lan", range: "10.77.0.0/24", domain: "example.org" });
const site = inventory({
  domain: "example.org",
  networks: { lan },
  machines: { hall: { lan: "10.77.0.2" }, desk: { lan: "10.77.0.3" } },
});
const { hosts } = site;

const base = "dc=example,dc=org";
const passwordHash = "$6$story$GECRl3gdOZLEbcHjudAKxNFuWpsexwVCfMWzzRWNUSpW11mMkZFnyEYJvgYa0b2vXGS7VH2hQIFV0rnLwWopW.";
const people = `ou=people,${base}`;
const groups = `ou=groups,${base}`;
const directory = endpoint("ldap", hosts.hall);
const following = secret("replicator");
/** Who the machines are for the directory, which tells nobody else about people. */
const bind = { dn: `cn=machines,${base}`, password: secret("machines") };
const passwords = {
  "directory-admin": "root of it all",
  machines: "who is who",
  replicator: "in one word or four",
};
const authority = "/etc/ldap/tls/certificate.pem";

/** The directory, by which its own people are known, the way in, and what others hand to it. */
const hall = machine(
  "hall",
  simpleService("authority", systemdUnits, [certificateUnit()]),
  slapd({
    suffix: base,
    rootPassword: secret("directory-admin"),
    access: [
      "access to attrs=userPassword by self write by anonymous auth by * none",
      "access to * by users read by * none",
    ],
    tree: [
      {
        dn: bind.dn,
        attributes: {
          objectClass: ["organizationalRole", "simpleSecurityObject"],
          cn: "machines",
          // openssl passwd -6 -salt story 'who is who'
          userPassword: `{CRYPT}${passwordHash}`,
        },
      },
      organizationalUnit("people", base),
      organizationalUnit("groups", base),
      organizationalUnit("hosts", base),
      ...ldapHosts(site, `ou=hosts,${base}`),
      ldapGroup({ name: "students", members: ["alice"] }, groups),
      ldapGroup({ name: "staff", gid: 20001, members: ["bob"] }, groups),
      ldapPerson({ name: "bob", gid: 20001, fullName: "Bob Élan" }, people),
    ],
    tls: { certificate: authority, key: "/etc/ldap/tls/key.pem" },
    replicas: { password: following },
  }),
  nslcd({ servers: [directory], base, bind }),
  nscd({ seconds: 5, secondsUnknown: 1 }),
  openssh({ passwordAuthentication: true }),
  bastion({ passengers: ["students"], operators: ["root", "staff"], targets: [endpoint("ssh", hosts.desk)] }),
  journalRemote({ clients: [hosts.desk.address] }),
  mailRelay({ to: { host: "127.0.0.1", port: 2525 }, domain: "example.org", clients: ["10.77.0.0/24"] }),
  nginx({ sites: [{ port: 8081, locations: [{ path: "/", root: "/etc/site" }] }] }),
  simpleService("packages", etcFiles, [etcFile("/etc/site/pool/hello_1_all.deb", "hello\n")]),
  aptCacherNg({ repositories: [{ name: "site", from: ["http://127.0.0.1:8081"] }], onlyRepositories: true }),
);

/** A machine of those people, which follows the directory too. */
const desk = machine(
  "desk",
  slapd({ suffix: base, replicaOf: { server: directory, password: following, authority } }),
  sssd({ servers: [directory], base, authority, bind }),
  users({ sudo: [{ group: "staff", commands: ["/usr/bin/id -u"], password: false }] }),
  openssh({ passwordAuthentication: true }),
  journalUpload({ to: endpoint("journal-remote", hosts.hall) }),
  nodeExporter({ scrapers: [hosts.hall.address] }),
  mailRelay({ to: endpoint("smtp", hosts.hall), domain: "example.org", administrator: "ops@example.org" }),
  timer({ name: "tick", onCalendar: "*:*:0/2", command: "echo tick >> /var/log/tick.log" }),
  logrotate({ rotations: [{ name: "tick", files: ["/var/log/tick.log"], compress: false }] }),
  hardening({ level: "strict" }),
);

test("people of a directory log in through the bastion; journals, mail and packages find their way", async () => {
  const session = testSession();
  await withMachines(
    { hall, desk },
    async ({ hall, desk }) => {
      await desk.succeeds("mkdir -p /etc/ldap/tls");
      await desk.writeFile(authority, await hall.readFile(authority));
      // Who has once looked for the certificate in vain does not look again.
      await desk.succeeds("systemctl restart sssd slapd");
      await Promise.all([hall.passesChecks(60), desk.passesChecks(60)]);
      await peopleLogIn(hall, desk);
      await logsAndMailArrive(hall, desk);
      await packagesAreKept(hall, desk);
    },
    { lock: session.lockFile, store: session.store.directory, secrets: passwords },
  );
});

async function peopleLogIn(hall: MachineUnderTest, desk: MachineUnderTest): Promise<void> {
  // Somebody new, with a key and without a password; and a password for whom the tree began with.
  await desk.succeeds("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519");
  await desk.writeFile(
    "/root/.ssh/config",
    "Host *\n  StrictHostKeyChecking no\n  LogLevel ERROR\n  ConnectTimeout 60\n",
  );
  const key = await desk.succeeds("chmod 600 /root/.ssh/config && cat /root/.ssh/id_ed25519.pub");
  await hall.writeFile(
    "/tmp/alice.ldif",
    [
      `dn: uid=alice,${people}`,
      ...["inetOrgPerson", "posixAccount", "ldapPublicKey"].map((name) => `objectClass: ${name}`),
      ...["uid: alice", "cn: Alice", "sn: Alice", "uidNumber: 20100", "gidNumber: 20100"],
      ...["homeDirectory: /home/alice", "loginShell: /bin/bash", `sshPublicKey: ${key}`, ""],
    ].join("\n"),
  );
  await hall.succeeds("ldapadd -Q -Y EXTERNAL -H ldapi:/// -f /tmp/alice.ldif");
  await hall.succeeds(`ldappasswd -Q -Y EXTERNAL -H ldapi:/// -s 'open sesame' uid=bob,${people}`);
  const own = await hall.succeeds(`ldapsearch -Q -LLL -Y EXTERNAL -H ldapi:/// -b uid=bob,${people} userPassword`);
  assert.match(own, /^userPassword:: e0FSR09OMn0/m, "{ARGON2} in base64");
  await hall.fails(`ldapsearch -x -LLL -H ldap://127.0.0.1 -b ${people} uid=bob`);
  const admin = `ldapwhoami -x -H ldaps://hall.example.org -D cn=admin,${base} -w`;
  assert.match(
    await desk.succeeds(`LDAPTLS_CACERT=${authority} ${admin} '${passwords["directory-admin"]}'`),
    /cn=admin/,
  );
  await desk.fails(`LDAPTLS_CACERT=${authority} ${admin} 'of nothing'`);

  // Known on both, by nslcd here and sssd there.
  await hall.waitUntilSucceeds("getent passwd alice | grep -q :20100:");
  await desk.waitUntilSucceeds("getent passwd alice | grep -q :20100:");
  assert.match(await desk.succeeds("id bob"), /gid=20001\(staff\)/);

  // Through the bastion to a machine behind it; not onto it, and to nowhere else.
  const through = "ssh -J alice@hall.example.org";
  assert.equal(
    await desk.succeeds(`${through} alice@10.77.0.3 'id -un; pwd; hostname'`, 60),
    "alice\n/home/alice\ndesk",
  );
  await desk.fails("ssh alice@hall.example.org true", 60);
  assert.match(await desk.fails("ssh -v -W 10.77.0.2:389 alice@hall.example.org </dev/null", 60), /prohibited/);
  assert.match(await hall.journal("ssh.service"), /Accepted publickey for alice/);

  // An operator, by password: on the bastion by nslcd, on the other by sssd.
  const bob = (where: string, password = "open sesame") =>
    `sshpass -p '${password}' ssh -o PubkeyAuthentication=no bob@${where} 'id -un; hostname'`;
  assert.equal(await desk.succeeds(bob("hall.example.org"), 60), "bob\nhall");
  assert.equal(await desk.succeeds(bob("10.77.0.3"), 60), "bob\ndesk");
  await desk.fails(bob("10.77.0.3", "open barley"), 60);

  // What a group of the directory may run.
  const asBob = "runuser -u bob -- sudo -n";
  assert.equal(await desk.succeeds(`${asBob} /usr/bin/id -u`), "0");
  await desk.fails(`${asBob} /usr/bin/id`);

  // The replica has what came since, and who has been here may come again while the directory is away.
  const known = `ldapsearch -Q -LLL -Y EXTERNAL -H ldapi:/// -b ${people} uid=alice uidNumber | grep -q 20100`;
  await desk.waitUntilSucceeds(known);
  const host = `ldapsearch -Q -LLL -Y EXTERNAL -H ldapi:/// -b ou=hosts,${base} cn=desk ipHostNumber`;
  assert.match(await desk.succeeds(host), new RegExp(`^ipHostNumber: ${hosts.desk.address}$`, "m"));
  await hall.succeeds("systemctl stop slapd");
  await desk.succeeds(known);
  assert.equal(await desk.succeeds(bob("10.77.0.3"), 60), "bob\ndesk");
  await hall.succeeds("systemctl start slapd");
}

async function logsAndMailArrive(hall: MachineUnderTest, desk: MachineUnderTest): Promise<void> {
  await desk.succeeds("logger -t story 'written on the desk'");
  await hall.waitUntilSucceeds(
    "journalctl -q -D /var/log/journal/remote _HOSTNAME=desk -t story | grep -q 'written on the desk'",
  );
  assert.match(
    await hall.succeeds("curl -sS --max-time 20 http://10.77.0.3:9100/metrics | grep ^node_uname_info"),
    /nodename="desk"/,
  );

  // Kept while nobody takes it.
  await desk.succeeds("printf 'Subject: full\\n\\nThe disk is full.\\n' | sendmail root");
  await hall.waitUntilSucceeds("postqueue -p | grep -q ops@example.org");
  await desk.waitUntilSucceeds("postqueue -p | grep -q empty");
  await hall.succeeds("mkdir -m 777 /tmp/mail");
  await hall.succeeds("systemd-run --unit=sink smtp-sink -u nobody -d /tmp/mail/m 127.0.0.1:2525 10");
  await hall.waitForPort(2525);
  await hall.succeeds("postqueue -f");
  await hall.waitUntilSucceeds("grep -rq 'The disk is full' /tmp/mail");
  assert.match(await hall.succeeds("cat /tmp/mail/*"), /^From: \S*.*root@example\.org/m);

  await desk.waitUntilSucceeds("test $(wc -l < /var/log/tick.log) -ge 3");
  await desk.succeeds("logrotate --force /etc/logrotate.conf && test -s /var/log/tick.log.1");

  // Hardened: parameters of both levels, a module that nothing may load, no memory of a program that crashes.
  assert.equal(
    await desk.succeeds("sysctl -n kernel.kptr_restrict kernel.yama.ptrace_scope kernel.core_pattern"),
    "2\n2\n|/bin/false",
  );
  assert.match(await desk.succeeds("modprobe --dry-run --verbose sctp"), /install \/bin\/false/);
  await desk.fails("modprobe sctp");
}

async function packagesAreKept(hall: MachineUnderTest, desk: MachineUnderTest): Promise<void> {
  const get = (path: string) => `curl -sS -f --max-time 30 http://10.77.0.2:3142${path}`;
  assert.equal(await desk.succeeds(get("/site/pool/hello_1_all.deb")), "hello");
  await hall.succeeds("systemctl stop nginx");
  assert.equal(await desk.succeeds(get("/site/pool/hello_1_all.deb")), "hello");
  await desk.fails(get("/site/pool/other_1_all.deb"));
  await hall.succeeds("systemctl start nginx");
  await desk.fails(get("/127.0.0.1:8081/pool/hello_1_all.deb"), 60);
}

function machine(name: keyof typeof hosts, ...services: readonly Service[]): OperatingSystem {
  return operatingSystem({
    hostName: name,
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    kernelArguments: ["console=tty0", "console=ttyS0,115200"],
    nameResolution: nameResolution({ hosts: site.lines }),
    packages: ["iproute2", "curl", "openssl", "openssh-client", "sshpass", "procps", "systemd-sysv"],
    services: [
      ...modifyServices(baseServices, remove(dhcpNetworking)),
      staticNetworking({ eth0: hosts[name].on("lan") }),
      ...services,
    ],
  });
}

/** A certificate of the machine's own, which others know it by. */
function certificateUnit() {
  const make = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=${hosts.hall.fullName} -addext subjectAltName=DNS:${hosts.hall.fullName} -keyout key.pem -out certificate.pem`;
  return unit({
    name: "authority.service",
    text: `[Unit]
Description=Certificate of the directory
Before=slapd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'mkdir -p /etc/ldap/tls && cd /etc/ldap/tls && ${make} && chown openldap key.pem'

[Install]
WantedBy=multi-user.target
`,
  });
}
