import type { Recipe } from "../recipe.ts";

/** Mail transport. */
export const mailRecipes: readonly Recipe[] = [
  {
    package: "exim4-base",
    residues: ["92604d06b6accb86b7ba3269a74c369b1b9289ad5ca960726a239c71b154d0a3"],
    why: "removes hints of older versions of its database",
  },
  {
    package: "exim4-config",
    residues: [
      "de84ed7739739cb3bec278d4b949eb4ca6b5bd3194f48ba4c78bb7be11730950",
      "0f1257f01fbf834ba458d3c6ac13ca52e703e1cb390a7a8d7bd0bb3e5da69ebb",
    ],
    why: "writes update-exim4.conf.conf, /etc/mailname and /etc/aliases from debconf's answers: the service has to supply all three; the running settings are generated when Exim starts",
  },
  {
    package: "postfix",
    residues: [
      "7ecdb9ed2caaa97fe0f2a963b07e0d7147e6e8d75d05b1a9d358c912f8876e55",
      "c72c780dc3f152cb6b5375ff4a3ffc6a8c272413e079818a88db0fe40c1f4309",
    ],
    why: "its settings come from debconf's answers and the host's name: the service has to supply main.cf, /etc/mailname and /etc/aliases with its database; folders of the queue are made by `postfix start`",
    gives: {
      groups: ["postfix", "postdrop"],
      users: [{ name: "postfix", group: "postfix", home: "/var/spool/postfix" }],
      copies: [{ from: "/usr/share/postfix/master.cf.dist", path: "/etc/postfix/master.cf" }],
      files: [
        {
          path: "/etc/postfix/dynamicmaps.cf",
          text: "# dict-type\tso-name (pathname)\tdict-function\tmkmap-function\n",
          mode: 0o644,
        },
      ],
      attributes: [
        { path: "/usr/sbin/postdrop", user: "root", group: "postdrop", mode: 0o2555, registered: true },
        { path: "/usr/sbin/postqueue", user: "root", group: "postdrop", mode: 0o2555, registered: true },
        { path: "/var/lib/postfix", user: "postfix", group: "postfix" },
      ],
    },
  },
];
