import type { Effects } from "../effects.ts";
import type { ScriptedPackage } from "../examine-scripts.ts";
import type { Recipe } from "../recipe.ts";

/** The Apache web server and PHP: what `a2enmod` and `phpenmod` leave are links. */
export const apacheRecipes: readonly Recipe[] = [
  {
    package: "apache2",
    residues: ["f14186d4a103379ff9d88c3c8bcdccb19ec449f06f64fc0d2af50c11e0e1c4b8"],
    why: "enables the modules, settings and site that every installation starts with, by links; a2enmod's notes on who enabled them are only read by scripts; a service may ship other sites",
    gives: enabledInApache,
  },
  {
    package: "javascript-common",
    residues: ["61c640b3e37158dd92cc4f60ed036afc75046328e57065fe4adb647d8fa1a7d9"],
    why: "links its settings for web servers that find it; nothing but documentation viewers asks for them",
  },
  {
    package: "libapache2-mod-php*",
    residues: [
      "ead9ccae36e8b919709119a7034bc334c5b64950461150db146d88c4b8b61a31",
      "d8bc69ecb4c360bae659fee6dc2b3c65fceddb1566ca3bf1153d61e419d17fe1",
    ],
    why: "enables PHP's own modules for Apache by links; to load PHP itself, which wants mpm_prefork in place of mpm_event, is for the service that configures Apache",
    gives: enabledInPhp,
  },
  {
    package: "php8.*",
    residues: [
      "38523f6ad186d6cdae8c1f7360bb4576bc18100202c626e1b68e5bf55fa779cd",
      "86750980421d69ae8e1c286aad59e47d3c946fb2af21f04e89b2eb2fb84e7a30",
      "f11ee754b38f9813a9a24f3a5cc1d795bf5ba6d5607a01bc253b655f0b998b61",
      "b56bb709b5929514b6b5370f5e0cd0fc7096d7b211b0f451650b6dc4dc3ba231",
      "de7a1c6860d16db2a9eabc2fed71d3ba91206d880550210ac7ae60f0496768fa",
      "bc3502dd34639335585a92a99a6bcb15305fc36d0540103dbc3cb23f7903de29",
      "cf42fa8d6e10fabed993829056145ad42480dd1217ab930082f0e7135508efe3",
      "7dd7ab519a31bcacc93cf8f223097a800560b483af6fbac785db4b767c8accb8",
      "a65527af897bf286c01326daf45b153a9908f7118920a700dd608f77ef011913",
      "31336189c1f9ce7d41040bbe8734174738eb2af7e0990f4db17137ab5f724843",
      "89a96ccdf9f8ef5a0164ccc6fb90b71cf0fd71d7e32142221c519cabecaf529b",
      "9df4ab72297edfe0e4530e3078b0adaf1d421bb70458030db73d52319b3c8631",
      "4b37b33c0a22b4eb1b1a1746a210351b082ff2ffb0d0028a5888294e75b000b7",
      "ca0ac7fea5473fccc240bb3bd1df865caeff349f8fbaec0368586b76f1589e73",
      "a7019bfe5868948489615f81fac985ab9275de6d103abcb43b5bbb6046bcdbdb",
      "7f6d565fd08518b9a7423965dbac607855dba885926e80075497d3cfabb7eeda",
      "95a6baae94ffec978d795aa70213c200868deee14a188562d4812b454d368d54",
      "29035a0c547034c57a22a2a4ff4fb5616b7eda26ffcd5ba50b0eb896b1567c28",
      "2859ec5032e812f78f9b11d5b52f07dc3e317d5b2fe30474b5e55a5499e7a011",
      "48e408d947ddc9982e1b823e86b20303654b25013534952728192377df4bf92d",
      "abf8d60e4171b7dd683af1224221af24507a9925a88c452d509095c44fc5c4c5",
    ],
    why: "puts settings of extensions in place and enables each for every way of running PHP that is installed, by links; FPM is left out of Apache as the script leaves it",
    gives: enabledInPhp,
  },
];

const apacheModules = [
  ...[
    "mpm_event",
    "authz_core",
    "authn_core",
    "authz_host",
    "auth_basic",
    "access_compat",
    "authn_file",
    "authz_user",
    "alias",
    "dir",
    "autoindex",
  ],
  ...["env", "mime", "negotiation", "setenvif", "filter", "deflate", "status", "reqtimeout"],
];
const apacheSettings = ["charset", "localized-error-pages", "other-vhosts-access-log", "security", "serve-cgi-bin"];

function enabledInApache(debian: ScriptedPackage): Effects {
  const shipped = new Set(debian.entries.map(({ path }) => path));
  const names = [
    ...apacheModules.flatMap((name) => [`mods-available/${name}.load`, `mods-available/${name}.conf`]),
    ...apacheSettings.map((name) => `conf-available/${name}.conf`),
    "sites-available/000-default.conf",
  ];
  return {
    links: names
      .filter((name) => shipped.has(`/etc/apache2/${name}`))
      .map((name) => ({ path: `/etc/apache2/${name.replace("-available", "-enabled")}`, target: `../${name}` })),
  };
}

/** Extensions that others build on are loaded earlier: `; priority=` in their settings, 20 for all others. */
const phpPriorities: Readonly<Record<string, number>> = { mysqlnd: 10, opcache: 10, pdo: 10, xml: 15 };

function enabledInPhp(debian: ScriptedPackage): Effects {
  const found = debian.entries.flatMap(({ path }) => {
    const match = /^\/usr\/share\/php(\d+\.\d+)-[^/]+\/[^/]+\/([^/]+)\.ini$/.exec(path);
    return match ? [{ from: path, version: match[1]!, name: match[2]! }] : [];
  });
  return {
    copies: found.map(({ from, version, name }) => ({
      from,
      path: `/etc/php/${version}/mods-available/${name}.ini`,
      mode: 0o644,
    })),
    links: found.flatMap(({ version, name }) =>
      ["apache2", "cgi", "cli", "embed", "fpm", "phpdbg"].map((way) => ({
        path: `/etc/php/${version}/${way}/conf.d/${phpPriorities[name] ?? 20}-${name}.ini`,
        target: `/etc/php/${version}/mods-available/${name}.ini`,
        ifFolder: `/etc/php/${version}/${way}/conf.d`,
      })),
    ),
  };
}
