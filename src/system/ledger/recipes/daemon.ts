import type { Effects } from "../effects.ts";
import type { ScriptedPackage } from "../examine-scripts.ts";
import { fileCapability } from "../file-capability.ts";
import type { Recipe } from "../recipe.ts";

const netRaw = fileCapability("cap_net_raw+ep")!;

/** Daemons of the network. */
export const daemonRecipes: readonly Recipe[] = [
  {
    package: "bind9",
    residues: [
      "570e340133bb380fd466852fe4f7adf0b9775e901f80374290f8725b82ba4d77",
      "2a2ecc1019de992a8f50b680e38c6f1a92778d5e8893dd94601cfd2b05bca128",
    ],
    why: "gives its folders to its group; the key by which rndc(8) talks to it is a secret: named makes one of its own for the session when there is no rndc.key",
    gives: namedFolders,
  },
  {
    package: "tftpd-hpa",
    residues: ["03f6d2388db9f3b78b3aee4edccb693a41394b651589a1b51fe708130a916bc5"],
    why: "its user and folder, and its settings with debconf's defaults",
    gives: {
      users: [{ name: "tftp", home: "/srv/tftp", comment: "tftp daemon" }],
      directories: [{ path: "/srv/tftp", mode: 0o755, group: "nogroup" }],
      files: [
        {
          path: "/etc/default/tftpd-hpa",
          text:
            "# /etc/default/tftpd-hpa\n\n" +
            'TFTP_USERNAME="tftp"\nTFTP_DIRECTORY="/srv/tftp"\nTFTP_ADDRESS=":69"\nTFTP_OPTIONS="--secure"\n',
          mode: 0o644,
        },
      ],
    },
  },
  {
    package: "squid",
    residues: [
      "a7d6a50dbeba64e9775584c1081f978ce06217f93aade64e0a6f27fef1f23f66",
      "1a3424e32203abc9a75f6749cc3a734d5c25078cf762081f8965df6546ec22bd",
    ],
    why: "owners of its cache and log, and the capability of its pinger",
    gives: {
      attributes: [
        { path: "/var/spool/squid", user: "proxy", group: "proxy" },
        { path: "/var/log/squid", user: "proxy", group: "proxy" },
      ],
      capabilities: [{ path: "/usr/lib/squid/pinger", value: netRaw }],
    },
  },
  {
    package: "apt-cacher-ng",
    residues: ["b4bcf8c7db2df2adb7ab439958d8c2a6eb09f10d80611e8b350f16002ef16ea7"],
    why: "its user, its folders and the mode of its secrets; the lists of mirrors that the script guesses from the network have to come from the service",
    gives: {
      users: [{ name: "apt-cacher-ng", home: "/var/cache/apt-cacher-ng" }],
      directories: ["/var/cache/apt-cacher-ng", "/var/log/apt-cacher-ng"].map((path) => ({
        path,
        mode: 0o2755,
        user: "apt-cacher-ng",
        group: "apt-cacher-ng",
      })),
      attributes: [
        ...["/var/cache/apt-cacher-ng", "/var/log/apt-cacher-ng"].map((path) => ({
          path,
          mode: 0o2755,
          user: "apt-cacher-ng",
          group: "apt-cacher-ng",
        })),
        ...["debian", "debvol", "ubuntu"].map((name) => ({ path: `/etc/apt-cacher-ng/backends_${name}`, mode: 0o644 })),
        {
          path: "/etc/apt-cacher-ng/security.conf",
          user: "root",
          group: "apt-cacher-ng",
          mode: 0o640,
          registered: true,
        },
      ],
    },
  },
  {
    package: "lighttpd",
    residues: ["a8eae86b81a5c31caf32d6e737d862e123654d1dc367b917aa6965649589f61c"],
    why: "a page for servers whose folder of pages is empty; the service brings pages",
  },
  {
    package: "snmpd",
    residues: ["45518c11c271efac7bf8568e77b315c8fd3a489732f295a9ce3be3a132bdd2b0"],
    why: "a link among the documentation",
  },
  {
    package: "samba-common",
    residues: ["eceb560eed0d17403d397f89b3e779a6cbf9595d77f788c2c28f8190ba4b6e81"],
    why: "its settings as shipped, without an include for DHCP",
    gives: { copies: [{ from: "/usr/share/samba/smb.conf", path: "/etc/samba/smb.conf", mode: 0o644 }] },
  },
  {
    package: "samba",
    residues: ["c526c1015c3d58c59aea3532d43f3af8acff23cc152616117274da44fe595ff0"],
    why: "restarts a daemon on systems without systemd",
  },
  {
    package: "ntpsec",
    residues: ["93d35ddc17b8d86810acde4399ac02572c3e202f57237c0fec074dee8e3310f5"],
    why: "moves statistics of an older version",
  },
  {
    package: "freeradius-config",
    residues: ["318a4d16e208a8920662bf6ab958214e95b0c4552c4a3459841089165d94b82e"],
    why: "makes a certificate and Diffie-Hellman parameters for trying it out: the service has to bring its own, at the places that mods-available/eap names",
  },
  {
    package: "isc-dhcp-server",
    residues: ["235be33846b5a4f7ccb993b73aa64e91f338766b8ab4d8ac37e46d5d291af153"],
    why: "writes the interfaces that debconf was told; the service has to say them in /etc/default/isc-dhcp-server",
  },
  {
    package: "isc-dhcp-client",
    residues: ["03b5347edadae3121fb428d50750ede63d8bc7cc4688ccd0556a357fcd93b48b"],
    why: "a diversion for a variant of the package, across the merge of /usr",
  },
  {
    package: "ifupdown",
    residues: ["91991cdff3d44d67c1c869d7d669bd656af76581339847299c34a71ec461fae8"],
    why: "adds the loopback interface to /etc/network/interfaces, which the kernel and networkd bring up by themselves",
    gives: {
      files: [
        {
          path: "/etc/network/interfaces",
          text:
            "# interfaces(5) file used by ifup(8) and ifdown(8)\n" +
            "# Include files from /etc/network/interfaces.d:\nsource /etc/network/interfaces.d/*\n",
          mode: 0o644,
        },
      ],
    },
  },
  {
    package: "openvpn",
    residues: ["912ac4044b0d6657d60369b4c41b309327670cd58cc8a64c81b4742c28dd3e56"],
    why: "tells a shutdown of old about running daemons",
  },
  {
    package: "strongswan-starter",
    residues: ["8a76e35b23337e3c74d1bde32c2426de6aaffe9909323c1e87936a5b5353e816"],
    why: "makes a key for the host when debconf is told to, by default not; a key must never be in an image",
  },
  {
    package: "ufw",
    residues: ["322995f8b18d6ad7cda729a05497d983746894d25062decda01d0d8142121909"],
    why: "opens ports that debconf was told, by default none; the service says its rules",
  },
  {
    package: "dnsmasq",
    residues: ["4e5a059816b8ea86886bb0dd190f1d1040fc08c954e140cca1d71872f64b2ba9"],
    why: "tells the supervisor runit, which is not there",
  },
  {
    package: "ipmitool",
    residues: ["28c3cbcc63cc9898c602b613132233bdaf2677f2062ee5283cec1f433e4708ea"],
    why: "notes that a daemon could not start",
  },
];

function namedFolders(debian: ScriptedPackage): Effects {
  const settings = debian.entries.filter(({ path }) => /^\/etc\/bind\/named\.conf/.test(path));
  return {
    attributes: [
      { path: "/etc/bind", group: "bind", mode: 0o2755 },
      { path: "/var/cache/bind", group: "bind", mode: 0o775 },
      ...settings.map(({ path }) => ({ path, group: "bind" })),
    ],
  };
}
