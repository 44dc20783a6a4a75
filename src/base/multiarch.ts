/** An architecture by Debian's name, in ELF headers (e_machine), and in the folders of its libraries. */
export interface Multiarch {
  readonly architecture: string;
  readonly elfMachine: number;
  readonly triplet: string;
}

/** Debian's multiarch specification, "Tuples"; numbers of elf(5). */
export const multiarch: readonly Multiarch[] = [
  { architecture: "i386", elfMachine: 3, triplet: "i386-linux-gnu" },
  { architecture: "ppc64el", elfMachine: 21, triplet: "powerpc64le-linux-gnu" },
  { architecture: "s390x", elfMachine: 22, triplet: "s390x-linux-gnu" },
  { architecture: "armhf", elfMachine: 40, triplet: "arm-linux-gnueabihf" },
  { architecture: "amd64", elfMachine: 62, triplet: "x86_64-linux-gnu" },
  { architecture: "arm64", elfMachine: 183, triplet: "aarch64-linux-gnu" },
  { architecture: "riscv64", elfMachine: 243, triplet: "riscv64-linux-gnu" },
  { architecture: "loong64", elfMachine: 258, triplet: "loongarch64-linux-gnu" },
];
