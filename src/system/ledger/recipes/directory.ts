import type { Recipe } from "../recipe.ts";

/** Directories of people: servers and clients of LDAP. */
export const directoryRecipes: readonly Recipe[] = [
  {
    package: "slapd",
    residues: [
      "bc4e1b849371eb83b5475890ca57430c2cfd01da88c720218b6c4369f38c40e5",
      "1b23e3679545991f57d41975cd53ae07b058fc8fe58744f21e91c109d6463b35",
      "e90c9b069161dfd4e7d27444a410a4155ce8d35424bf77f8ff4212d49f7bb00b",
    ],
    why: "its user and folders; the script also makes a database and cn=config from debconf's answers by slapadd, which the service has to do from its own settings on its data volume",
    gives: {
      groups: ["openldap"],
      users: [{ name: "openldap", home: "/var/lib/ldap", shell: "/bin/false", comment: "OpenLDAP Server Account" }],
      directories: [
        { path: "/var/lib/ldap", mode: 0o700, user: "openldap", group: "openldap" },
        { path: "/etc/ldap/slapd.d", mode: 0o755, user: "openldap", group: "openldap" },
      ],
    },
  },
  {
    package: "nslcd",
    residues: ["d3513ef7675dfc4674c7c0edab8f697afd329f85105f14810f35f51ed2b64c49"],
    why: "writes /etc/nslcd.conf from debconf's answers; server, search base and credentials are the service's to say, in a file of mode 0640, root:nslcd",
  },
  {
    package: "libnss-ldapd",
    residues: ["ca2f237c5b7388fec501f1ab226a6e4fcfa339f6be79454973e2ff76eaeb0213"],
    why: 'adds "ldap" to lines of nsswitch.conf that debconf names; the operating system record says name resolution',
  },
];
