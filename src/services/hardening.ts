import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { kernelArguments, modprobeOptions, sysctl } from "../system/essential-boot.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, commandSucceeds } from "../system/essential-profile.ts";

const levels = ["usual", "strict"] as const;

export interface HardeningOptions {
  readonly level?: (typeof levels)[number];
  readonly blockedModules?: readonly string[];
  readonly coreDumps?: boolean;
}

/** Protocols and file systems that no server needs, and whose code is reached by whoever opens a socket or mounts. */
const rareModules = [
  ...["af_802154", "appletalk", "atm", "ax25", "can", "dccp", "netrom", "rds", "rose", "sctp", "tipc", "x25"],
  ...["affs", "befs", "cramfs", "freevxfs", "hfs", "hfsplus", "jffs2", "minix", "udf", "ufs"],
] as const;

/** Kernel parameters, boot parameters and blocked modules that leave an attacker less to work with. */
export const hardening = serviceType<HardeningOptions>({
  name: "hardening",
  description: "Kernel parameters that leave an attacker less to work with: hidden addresses, no rare protocols.",
  options: {
    level:
      "usual costs nothing; strict also clears freed memory, forbids new kernel modules' debugging aids and checks where packets come from.",
    blockedModules:
      "Kernel modules that are never loaded; by default protocols and file systems that servers do not use.",
    coreDumps: "Whether a program that crashes may leave its memory in a file.",
  },
  defaults: { level: "usual", blockedModules: rareModules, coreDumps: false },
  validate: ({ level, blockedModules }) => [
    ...(levels.includes(level)
      ? []
      : [{ code: "wrong-value", field: "level", what: `found ${JSON.stringify(level)}`, expected: levels.join(", ") }]),
    ...blockedModules
      .filter((name) => !/^[A-Za-z0-9_-]+$/.test(name))
      .map((name) => ({
        ...{ code: "wrong-value", field: "blockedModules", what: `found ${JSON.stringify(name)}` },
        expected: "a kernel module's name",
      })),
  ],
  extensions: [
    extend(sysctl, ({ level }) => ({ ...usualParameters, ...(level === "strict" && strictParameters) })),
    extend(
      sysctl,
      ({ coreDumps }): Readonly<Record<string, string | number>> =>
        coreDumps ? {} : { "fs.suid_dumpable": 0, "kernel.core_pattern": "|/bin/false" },
    ),
    // Documentation/admin-guide/kernel-parameters.txt tells each.
    extend(kernelArguments, ({ level }) => [
      ...["slab_nomerge", "randomize_kstack_offset=on", "vsyscall=none"],
      ...(level === "strict" ? ["init_on_alloc=1", "init_on_free=1", "page_alloc.shuffle=1", "debugfs=off"] : []),
    ]),
    // A blacklist alone leaves the way by alias open: modprobe.d(5), "install".
    extend(modprobeOptions, ({ blockedModules }) => blockedModules.map((name) => `install ${name} /bin/false`)),
    extend(etcFiles, ({ coreDumps }) =>
      coreDumps ? [] : [etcFile("/etc/security/limits.d/90-hardening.conf", text`* hard core 0\nroot hard core 0\n`)],
    ),
    extend(checks, () => [
      commandSucceeds("/usr/bin/grep", "-qx", "1", "/proc/sys/kernel/dmesg_restrict"),
      commandSucceeds("/usr/bin/grep", "-qx", "2", "/proc/sys/kernel/kptr_restrict"),
    ]),
  ],
});

/** Documentation/admin-guide/sysctl of the kernel tells each. */
const usualParameters = {
  "kernel.dmesg_restrict": 1,
  "kernel.kptr_restrict": 2,
  "kernel.unprivileged_bpf_disabled": 1,
  "kernel.yama.ptrace_scope": 1,
  "kernel.sysrq": 0,
  "net.core.bpf_jit_harden": 2,
  "fs.protected_hardlinks": 1,
  "fs.protected_symlinks": 1,
  "fs.protected_fifos": 2,
  "fs.protected_regular": 2,
  "net.ipv4.conf.all.accept_redirects": 0,
  "net.ipv4.conf.default.accept_redirects": 0,
  "net.ipv4.conf.all.send_redirects": 0,
  "net.ipv4.conf.default.send_redirects": 0,
  "net.ipv4.conf.all.accept_source_route": 0,
  "net.ipv6.conf.all.accept_redirects": 0,
  "net.ipv6.conf.default.accept_redirects": 0,
  "net.ipv6.conf.all.accept_source_route": 0,
  "net.ipv4.tcp_syncookies": 1,
} as const;

const strictParameters = {
  "kernel.yama.ptrace_scope": 2,
  "kernel.perf_event_paranoid": 3,
  "kernel.kexec_load_disabled": 1,
  "dev.tty.ldisc_autoload": 0,
  "vm.unprivileged_userfaultfd": 0,
  "net.ipv4.conf.all.rp_filter": 1,
  "net.ipv4.conf.default.rp_filter": 1,
} as const;
