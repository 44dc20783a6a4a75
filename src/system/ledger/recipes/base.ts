import type { Recipe } from "../recipe.ts";

/** Packages that every Debian system has. */
export const baseRecipes: readonly Recipe[] = [
  {
    package: "base-files",
    residues: [
      "cf3363101acd9414639c4c257ee59da212f5b16889d75363a44bf86148d4b99f",
      "f5ed33e757eb4f1a20df84056bd1c70cfa08c18908c9111474f93ba8f3db4a0f",
      "9aa72fdc4328312b282f72b8e26e8de58d165a2ee3c1d4faf8e12786935bfb30",
      "ce80f0bd6de014953ae8337a0d1b995f9085345b9fce4253f2d118b777d71d32",
      "043250258d5909c2ef701ddb9edb452ab07d45140da2cd31b040fceaed8980b6",
    ],
    why: "diversions and links for /lib32, /libo32 and /libx32, which no 64-bit system has, and for arm64's /lib64, which Debian does not use; an index for info pages",
  },
  {
    package: "base-passwd",
    residues: ["da98fdf4b399a1490df0ce08d9921fb9384bcf051dd6e22718c8c6651ab280f8"],
    why: "removes its own temporary file; the account files are made from the masters by the accounts hook",
  },
  {
    package: "bash",
    residues: ["53b029da59fcc09a997588823c292203a7161287c89ae1eba7aab6cf7fdf2a66"],
    why: "makes /bin/sh point to bash where nothing does; dash always comes and ships it",
  },
  {
    package: "dash",
    residues: [
      "17a679cac2cca3aee6aecbdf7ec1ee703fe1378513c6b63a3a96403045f2cfbd",
      "9c82d2ee683405f1eef705a54d2b5de069e3203ac455326dd0ee8919bc92b0af",
    ],
    why: "keeps /bin/sh across upgrades that once diverted it; its manual page gets the second name",
    gives: { links: [{ path: "/usr/share/man/man1/sh.1.gz", target: "dash.1.gz" }] },
  },
  {
    package: "debianutils",
    residues: ["226264584e31a062f1a2596b113182faa84dc08294a748d5cf88ee63a018efe0"],
    why: "a second attempt at the copy of /etc/shells for file systems without security labels",
  },
  {
    package: "dpkg",
    residues: [
      "1ee69993b2f9937a7bb82c96cc4c429a033c48a166643490c6c1187406ddd604",
      "4f6a4c4b51e15d4525264fe97b45c258804948b5a067705b4e56499bac67a359",
    ],
    why: "records the native architecture and warns about aliased directories; the dpkg database hook writes it",
  },
  {
    package: "gzip",
    residues: ["cff03823aa0598368a90d74a2a71d941503d4d07785dc9d4a5fcfc5bc4d3b429"],
    why: "diversions that only concern zutils across the merge of /usr",
  },
  {
    package: "initramfs-tools-core",
    residues: ["ce997b63eed054a183470b1c2f7d6c8ed421301013b80fa73bf90733f373ba94"],
    why: "a commented list of modules for initramfs-tools, whose initrd is never made here",
  },
  {
    package: "libc6",
    residues: [
      "69ec43783973735f97e79ea8f98c965a0c267799031198ff40f094fb1300a04d",
      "bc736985af1f6feded010867d33012dc9a9897fa7440ada9c72182fcecf032e6",
      "ad7140b6967149c4ec19b2c9b8caac74a08c1f5a41fe947e0c6951996539d637",
    ],
    why: "asks to restart services on upgrades; protective diversions that end in the same postinst",
  },
  {
    package: "libselinux1",
    residues: ["1b9cd84657d1ef1496a10b4b45457cc5b105bb3810262540326400473cc48bde"],
    why: "removes compiled SELinux contexts, which nothing here makes",
  },
  {
    package: "procps",
    residues: ["740ff7d0ddb0ae49cdcbcc831ba19b428443731bbd5527917fabc1e30329cb13"],
    why: "alternatives for variants (uptime.procps and others) that only other systems have",
  },
  {
    package: "systemd-sysv",
    residues: ["77afd72969a718069a825adb92bd530e8530bb829c8fbfc356d517dd1e0b1ec3"],
    why: "restores links to systemctl that a merge of /usr may have lost; the package ships them",
  },
  {
    package: "usr-is-merged",
    residues: [],
    why: "removes leftover links of other architectures",
  },
  {
    package: "util-linux",
    residues: ["8cd076883204addb4c33ce145acbabf65f9c2cd2b143c190c7923c828dc395ce"],
    why: "the alternative `pager`, behind a question whether this is Linux",
    gives: {
      alternatives: [
        {
          link: "/usr/bin/pager",
          name: "pager",
          path: "/bin/more",
          priority: 50,
          slaves: [
            { link: "/usr/share/man/man1/pager.1.gz", name: "pager.1.gz", path: "/usr/share/man/man1/more.1.gz" },
          ],
        },
      ],
    },
  },
  {
    package: "libglib2.0-0*",
    residues: ["1102933f8fa4ccc8a0894c2d63c691cf9e2bec81de5ff5b0b756f5f7ba7c66ab"],
    why: "compiles schemas and lists input modules of desktop programs; both are only faster lookups of what lies there",
  },
];
