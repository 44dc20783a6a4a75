import type { Recipe } from "../recipe.ts";

/** Word for word what the script of Debian 13 writes. */
const mariadbClient = `# THIS FILE IS OBSOLETE. STOP USING IT IF POSSIBLE.
# This file exists only for backwards compatibility for
# tools that run '--defaults-file=/etc/mysql/debian.cnf'
# and have root level access to the local filesystem.
# With those permissions one can run 'mariadb' directly
# anyway thanks to unix socket authentication and hence
# this file is useless. See package README for more info.
[client]
host     = localhost
user     = root
[mysql_upgrade]
host     = localhost
user     = root
# THIS FILE WILL BE REMOVED IN A FUTURE DEBIAN RELEASE.
`;

/** Databases and message queues. None of them gets data here: data lies on volumes that outlive images. */
export const databaseRecipes: readonly Recipe[] = [
  {
    package: "mariadb-common",
    residues: ["e5d2ef585536f68cc67514b3cc93425fe39d44dab539c7d8f00b0810f847a179"],
    why: "offers its settings as my.cnf",
    gives: {
      alternatives: [
        { link: "/etc/mysql/my.cnf", name: "my.cnf", path: "/etc/mysql/mariadb.cnf", priority: 500, slaves: [] },
      ],
    },
  },
  {
    package: "mariadb-server",
    residues: [
      "768923c5cc21a3091e940c1c9864ae9878e498182fa76f0918ef41a91914227e",
      "4bb1f4c76405e17cb59c92776314d6553fcd3aaa3a84501fd5b704b395efb243",
      "3e4204854c38e500c1a67e263833ad3fa36d066ad24f147ab9c9f151e688f1eb",
      "0fc207f5dd9abf371225553fcbfcd864656e1b2517bdfb6a0ff01d16947f68d7",
    ],
    why: "its user, owners of its data, the set-uid helper of PAM, and an old file of settings that its own programs still read; the script also creates the system tables by mariadb-install-db, which the service has to do on its data volume before the first start",
    gives: {
      groups: ["mysql"],
      users: [{ name: "mysql", home: "/nonexistent", shell: "/bin/false", comment: "MariaDB Server" }],
      directories: [{ path: "/var/lib/mysql", mode: 0o755, user: "mysql", group: "mysql" }],
      attributes: [{ path: "/usr/lib/mysql/plugin/auth_pam_tool_dir/auth_pam_tool", mode: 0o4755 }],
      files: [{ path: "/etc/mysql/debian.cnf", text: mariadbClient, mode: 0o600 }],
    },
  },
  {
    package: "postgresql-common",
    residues: [
      "17c96d9b22cb0bb14f8bb5c1b98b7f62f239f4965724f32318250d8e32271e8a",
      "5504df110f2da7fa3359776bf2f710c560d491fcc94588278321b61f8aa4f481",
    ],
    why: "owners of its folders and its template of new clusters; the test for the processor and the list for apt are for upgrades",
    gives: {
      directories: [
        { path: "/var/lib/postgresql", mode: 0o755, user: "postgres", group: "postgres" },
        { path: "/var/log/postgresql", mode: 0o1775, group: "postgres" },
      ],
      attributes: [
        { path: "/var/lib/postgresql", user: "postgres", group: "postgres" },
        { path: "/etc/postgresql", user: "postgres", group: "postgres" },
        { path: "/var/log/postgresql", mode: 0o1775, user: "root", group: "postgres" },
      ],
      copies: [
        {
          from: "/usr/share/postgresql-common/createcluster.conf",
          path: "/etc/postgresql-common/createcluster.conf",
          mode: 0o644,
        },
      ],
    },
  },
  {
    package: "postgresql-1*",
    residues: ["c879c1383220efc7866a04000801d4a745e1b6193bf3188a245ce6bffea012ca"],
    why: 'creates the cluster "main" by pg_createcluster: data and settings in one act, which the service has to do on its data volume before the first start',
  },
  {
    package: "postgresql-client-1*",
    residues: ["bfa234efb92f153fe82aeea017931517652b970db0f5ad93482fb164c989bf60"],
    why: "alternatives between the manual pages of several versions; there is one",
  },
  {
    package: "postgresql",
    residues: ["58c79d8792a17cf044f7b45742f8c4e6834d320da705bf25bc4fd920433ccff6"],
    why: "offers to take the data of an older version over",
  },
  {
    package: "rabbitmq-server",
    residues: ["76c0bc95bb00eeb8d0f43646ed5b3c5618697ab98d2c149a5cfb1ba26f9c1cbe"],
    why: "makes the cookie by which nodes of a cluster trust each other: a secret, which the service has to bring or to make in its data volume",
    gives: {
      directories: [{ path: "/var/lib/rabbitmq/mnesia", mode: 0o750, user: "rabbitmq", group: "rabbitmq" }],
    },
  },
  {
    package: "erlang-base",
    residues: ["9fe5011e28c7988562728cb565f569cbb6504a53fefcc232903559e6b9b78414"],
    why: "restarts services after upgrades",
  },
];
