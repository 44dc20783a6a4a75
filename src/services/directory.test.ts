import assert from "node:assert/strict";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import { realiseSystem } from "../build/compose.ts";
import { prepareSystem } from "../build/prepare.ts";
import {
  baseFileSystems,
  baseServices,
  endpoint,
  fileSystem,
  inventory,
  label,
  network,
  operatingSystem,
  type Service,
  secret,
  userAccount,
} from "../index.ts";
import { lowerSystem } from "../system/lower.ts";
import { testSession } from "../test-support/test-session.ts";
import {
  aptCacherNg,
  bastion,
  caddy,
  firewall,
  ipvs,
  ldapGroup,
  ldapPerson,
  logrotate,
  mailRelay,
  nslcd,
  openssh,
  organizationalUnit,
  slapd,
  sssd,
  timer,
  users,
  zabbixAgent,
  zabbixFrontend,
  zabbixServer,
} from "./index.ts";
import { ldif } from "./ldap-entries.ts";

const lan = network({ name: "lan", range: "10.77.0.0/24" });
const { hosts } = inventory({
  domain: "example.org",
  networks: { lan },
  machines: { a: { lan: "10.77.0.2" }, b: { lan: "10.77.0.3" } },
});
const base = "dc=example,dc=org";

function systemWith(...services: readonly Service[]) {
  return operatingSystem({
    hostName: "judged",
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    services: [...baseServices, ...services],
  });
}

function textsOf(...services: readonly Service[]): string {
  const { files } = lowerSystem(systemWith(...services));
  return files.map((file) => (file.kind === "file" ? `${file.path}\n${file.text}` : "")).join("\n");
}

test("entries are written as LDIF, parents first, and what is not plain as base64", () => {
  const entries = [
    ldapPerson({ name: "zoé", uid: 1234, fullName: "Zoé Nguyen", mail: "z@example.org" }, `ou=people,${base}`),
    ldapGroup({ name: "a,b", gid: 5, members: ["x", " y"] }, base),
    organizationalUnit("people", base),
  ];
  assert.equal(
    ldif(entries),
    `dn: cn=a\\,b,${base}
objectClass: posixGroup
cn: a,b
gidNumber: 5
memberUid: x
memberUid:: IHk=

dn: ou=people,${base}
objectClass: organizationalUnit
ou: people

dn:: ${Buffer.from(`uid=zoé,ou=people,${base}`).toString("base64")}
objectClass: inetOrgPerson
objectClass: posixAccount
objectClass: shadowAccount
uid:: em/DqQ==
cn:: Wm/DqSBOZ3V5ZW4=
sn: Nguyen
uidNumber: 1234
gidNumber: 1234
homeDirectory:: L2hvbWUvem/DqQ==
loginShell: /bin/bash
mail: z@example.org
`,
  );
});

test("who passes a bastion is told from who works on it", () => {
  const said = textsOf(
    openssh({ allowGroups: ["auditors"] }),
    bastion({ passengers: ["students"], operators: ["staff"], targets: [endpoint("ssh", hosts.b)] }),
  );
  assert.match(said, /^AllowGroups auditors students staff$/m);
  const block = /^Match Group students,!staff\n((?: {2}.*\n)+)/m.exec(said)?.[1];
  assert.match(block ?? "", /^ {2}MaxSessions 0$/m);
  assert.match(block ?? "", /^ {2}PermitOpen b\.example\.org:22 b:22 10\.77\.0\.3:22$/m);
  // A block lasts until the next: nothing that is for everybody may follow.
  assert.ok(said.indexOf("Match Group") > said.indexOf("MaxStartups"));
});

test("passwords are in files of the running machine alone", () => {
  const { secrets } = lowerSystem(
    systemWith(
      slapd({ suffix: base, rootPassword: secret("root"), replicas: { password: secret("replicas") } }),
      nslcd({ servers: [endpoint("ldap", hosts.a)], base, bind: { dn: `cn=m,${base}`, password: secret("machine") } }),
      zabbixAgent({ servers: [endpoint("zabbix-server", hosts.a)], key: { identity: "k", secret: secret("zabbix") } }),
      mailRelay({
        to: endpoint("smtp", hosts.a),
        domain: "example.org",
        login: { user: "m", password: secret("mail") },
      }),
    ),
  );
  assert.deepEqual(secrets, ["machine", "mail", "replicas", "root", "zabbix"]);
});

test("mistakes that a service can see are told before anything is built", () => {
  const mistakes: readonly [() => Service, RegExp][] = [
    [() => slapd({ suffix: "example.org" }), /dc=example,dc=org/],
    [() => slapd({ suffix: base, tree: [organizationalUnit("x", "dc=other")] }), /ou=x,dc=other is not below/],
    [
      () =>
        slapd({
          suffix: base,
          tree: [organizationalUnit("x", base)],
          replicaOf: { server: endpoint("ldap", hosts.a), password: secret("r") },
        }),
      /gets its tree from the provider/,
    ],
    [() => sssd({ servers: [], base }), /no server is named/],
    [() => bastion({ passengers: ["two words"] }), /two words/],
    [() => timer({ name: "Tick", onCalendar: "daily", command: "true" }), /Tick/],
    [() => users({ sudo: [{ commands: ["/bin/true"] }] }), /for a user or for a group/],
    [() => users({ sudo: [{ user: "carol", commands: ["reboot"] }] }), /reboot/],
    [() => aptCacherNg({ onlyRepositories: true }), /nothing may be fetched/],
    [() => caddy({ sites: [{ addresses: ["ftp://x"], locations: [] }] }), /ftp:/],
    [
      () =>
        ipvs({
          virtualServers: [{ address: "10.0.0.1", port: 80, way: "direct", servers: [endpoint("https", hosts.a)] }],
        }),
      /only what is translated/,
    ],
  ];
  for (const [make, said] of mistakes) assert.throws(() => lowerSystem(systemWith(make())), said);
});

const kept = [
  firewall({ policy: "closed", trusted: ["10.77.0.9"], extraRules: ["tcp dport 8080-8090 accept"] }),
  slapd({
    suffix: base,
    tree: [organizationalUnit("people", base), ldapPerson({ name: "alice", sshKeys: ["k"] }, `ou=people,${base}`)],
    replicas: { password: secret("r") },
  }),
  nslcd({ servers: [endpoint("ldap", hosts.a)], base }),
  sssd({ servers: [endpoint("ldaps", hosts.a)], base, authority: "/etc/a.pem", allowGroups: ["staff"] }),
  bastion({ passengers: ["students"] }),
  mailRelay({ to: { host: "mail.example.org" }, domain: "example.org", administrator: "ops@example.org" }),
  timer({ name: "tick", onCalendar: ["daily", "*:0/5"], command: "echo tick" }),
  logrotate({ rotations: [{ name: "tick", files: ["/var/log/tick.log"], afterwards: "true" }] }),
  zabbixAgent({ servers: [endpoint("zabbix-server", hosts.a)], items: { "queue.length": "wc -l < /run/queue" } }),
  zabbixServer({
    database: { kind: "postgresql" },
    administratorPassword: secret("admin"),
    settings: { StartPollers: 9 },
  }),
  zabbixFrontend({ database: { kind: "postgresql" }, title: "The site's" }),
  users({
    groups: ["operators"],
    people: [userAccount({ name: "carol", supplementaryGroups: ["operators"] })],
    sudo: [{ group: "operators", commands: ["/usr/bin/systemctl restart a:b,c"], password: false }],
  }),
  ipvs({
    virtualServers: [
      {
        ...{ address: "10.0.0.9", port: 80, healthy: { path: "/" }, scheduler: "wrr" },
        servers: [endpoint("http", hosts.a), { server: endpoint("http", hosts.b), weight: 2 }],
      },
    ],
  }),
  caddy({
    sites: [
      {
        addresses: ["http://www.example.org", ":8080"],
        locations: [
          { path: "/", root: "/srv", listing: true },
          { path: "/api/", proxyTo: [endpoint("http", hosts.a)], healthPath: "/ok" },
          { path: "/old", redirectTo: "/new" },
        ],
      },
    ],
  }),
];

const judges = [
  ...["caddy", "keepalived", "logrotate", "nft", "nginx", "nslcd", "php-fpm", "postconf", "sh"],
  ...["slapadd", "sshd", "sssctl", "systemd-analyze", "visudo", "zabbix_agentd", "zabbix_server"],
];

async function realised(services: readonly Service[]) {
  const session = testSession();
  return realiseSystem(session, await prepareSystem(session, systemWith(...services)));
}

test("the programs themselves take what is written for them", async () => {
  const { prepared } = await realised(kept);
  assert.deepEqual(prepared.manifest.configurationChecks.map(({ name }) => name).sort(), judges);
});

test("and refuse what they do not know, each in its own words", async () => {
  const wrong: Readonly<Record<string, Service>> = {
    slapd: slapd({ suffix: base, databaseConfiguration: "overlai memberof" }),
    nslcd: nslcd({ servers: [endpoint("ldap", hosts.a)], base, extraConfiguration: "pagesise 10" }),
    sssd: sssd({ servers: [endpoint("ldap", hosts.a)], base, extraConfiguration: "ldap_urri = x" }),
    "mail-relay": mailRelay({ to: { host: "m" }, domain: "d", extraConfiguration: "mesage_size_limit = 1" }),
    timer: timer({ name: "tick", onCalendar: "sometimes", command: "if true" }),
    logrotate: logrotate({ rotations: [{ name: "tick", files: ["/var/log/t"], maximumSize: "much" }] }),
    "zabbix-agent": zabbixAgent({ servers: [endpoint("zabbix-server", hosts.a)], extraConfiguration: "Hostnaame=x" }),
    firewall: firewall({ policy: "closed", extraRules: ["tcp dprot 22 accept"] }),
    users: users({ sudo: [{ user: "carol", as: "(", commands: ["/bin/true"] }] }),
    caddy: caddy({ sites: [{ addresses: [":80"], locations: [], extraConfiguration: "respnd 1" }] }),
  };
  await assert.rejects(realised(Object.values(wrong)), (error: unknown) => {
    assert.ok(error instanceof MesoError);
    const said = error.problems.map(({ what }) => what).join("\n");
    for (const words of [
      /slapadd refuses the configuration of slapd:[\s\S]*overlai/,
      /nslcd refuses[\s\S]*pagesise/,
      /sssctl refuses[\s\S]*ldap_urri/,
      /postconf refuses[\s\S]*mesage_size_limit/,
      /systemd-analyze refuses the configuration of timer@tick:[\s\S]*sometimes/,
      /sh refuses/,
      /logrotate refuses[\s\S]*unknown unit/,
      /zabbix_agentd refuses[\s\S]*Hostnaame/,
      /visudo refuses/,
      /nft refuses the configuration of firewall:[\s\S]*dprot/,
      /caddy refuses[\s\S]*respnd/,
    ]) {
      assert.match(said, words);
    }
    return true;
  });
  const far = slapd({
    ...{ suffix: base, replicaOf: { server: endpoint("ldap", hosts.a), password: secret("r") } },
    databaseConfiguration: "overlai memberof",
  });
  await assert.rejects(realised([far]), /slaptest refuses[\s\S]*overlai/);
  const tree = [{ dn: `uid=x,${base}`, attributes: { objectClass: "posixAccount", uid: "x" } }];
  await assert.rejects(realised([slapd({ suffix: base, tree })]), /slapadd refuses[\s\S]*uid=x/);
});
