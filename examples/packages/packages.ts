// A channel of packages that a centre builds from source: `meso build packages.ts`, `meso build packages.ts#pmix`.
import { bookworm, type Channel, inherit, trixie } from "mesoforge";
import { cmake, debianSource, gnu, meson, replacePhase, sourcePackage } from "mesoforge/packages";

/** The upstream version picks the source: of each, Debian's archive has one in one release or the other. */
function fromDebian(name: string, channels: readonly Channel[] = [bookworm, trixie]) {
  return ({ version }: { version: string }) => debianSource(name, { version, channels });
}

export const hello = sourcePackage({
  name: "hello",
  version: "2.10",
  source: fromDebian("hello", [bookworm]),
  buildSystem: gnu(),
  synopsis: "greeting, and an example of how packages are built",
  licence: "GPL-3.0-or-later",
  homePage: "https://www.gnu.org/software/hello/",
});

export const hwloc = sourcePackage({
  name: "hwloc",
  version: "2.9.0",
  source: fromDebian("hwloc"),
  buildSystem: gnu({ bootstrap: true }),
  // One test compares what /sys tells of this very machine with a copy of it; builds see no /sys.
  snippets: ["sed -i 's/^SUBDIRS = . allowed gather$/SUBDIRS = . allowed/' tests/hwloc/linux/Makefile.am"],
  configureFlags: ["--disable-cairo", "--disable-libxml2", "--disable-opencl", "--disable-nvml", "--disable-rsmi"],
  synopsis: "topology of processors, caches and memory",
  licence: "BSD-3-Clause",
  homePage: "https://www.open-mpi.org/projects/hwloc/",
});

export const libevent = sourcePackage({
  name: "libevent",
  version: "2.1.12-stable",
  source: fromDebian("libevent"),
  buildSystem: gnu({ bootstrap: true }),
  nativeInputs: ["python3"],
  // Left out of its tests: a program that compares clocks within 50 ms, which a machine with other work to do fails, and
  // that looks for name servers, which builds do not see.
  configureFlags: ["--disable-openssl", "--disable-libevent-regress"],
  synopsis: "asynchronous notification of events",
  licence: "BSD-3-Clause",
  homePage: "https://libevent.org/",
});

const pmix_4 = sourcePackage({
  name: "pmix",
  version: "4.2.2",
  source: fromDebian("pmix"),
  buildSystem: gnu({ bootstrap: true }),
  // Its own script lists the components for configure, before it calls autoreconf.
  phases: [replacePhase("bootstrap", "./autogen.pl")],
  inputs: [hwloc, libevent, "zlib1g-dev"],
  nativeInputs: ["flex", "perl", "python3"],
  configureFlags: ["--with-munge=no", "--disable-man-pages"],
  synopsis: "how parallel programs are started, and find each other",
  licence: "BSD-3-Clause",
  homePage: "https://pmix.org/",
});

/** The security update of CVE-2023-41915: nothing but the version. */
export const pmix_5 = inherit(pmix_4, { version: "5.0.7" });

/** What the others are built with: these are the two words that an update changes. */
export const pmix = pmix_4;
export { pmix_4 };

export const slurm = sourcePackage({
  name: "slurm",
  version: "24.11.5",
  // As upstream has it: Debian's patches are for Debian's paths.
  source: ({ version }) => debianSource("slurm-wlm", { version, patched: false }),
  buildSystem: gnu(),
  inputs: [hwloc, pmix, "libmunge-dev", "zlib1g-dev"],
  nativeInputs: ["python3"],
  configureFlags: ["--sysconfdir=/etc/slurm", "--localstatedir=/var", "--disable-slurmrestd", "--without-rpath"],
  replaces: ["slurm-wlm-basic-plugins", "slurmctld", "slurmd", "slurm-client"],
  synopsis: "workload manager, with the centre's own PMIx",
  licence: "GPL-2.0-or-later",
  homePage: "https://slurm.schedmd.com/",
});

/** Built by cmake. */
export const cjson = sourcePackage({
  name: "cjson",
  version: "1.7.18",
  source: fromDebian("cjson"),
  buildSystem: cmake(),
  synopsis: "parser of JSON in C",
  licence: "MIT",
  homePage: "https://github.com/DaveGamble/cJSON",
});

/** Built by meson. */
export const inih = sourcePackage({
  name: "inih",
  version: "59",
  source: fromDebian("libinih"),
  buildSystem: meson(),
  synopsis: "parser of .ini files in C",
  licence: "BSD-3-Clause",
  homePage: "https://github.com/benhoyt/inih",
});
