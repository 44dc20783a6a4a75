import { aString } from "./check.ts";
import type { RecordOf } from "./record.ts";
import { recordType } from "./record.ts";

interface KernelFields {
  /** Debian package of the kernel, or one that depends on it; a function where it depends on the architecture. */
  package: string | ((architecture: string) => string);
}

export type Kernel = RecordOf<KernelFields, "package">;

const aPackageName = aString('a kernel package: "linux-image-cloud-amd64"', (name) =>
  /^[a-z0-9][a-z0-9+.-]+$/.test(name),
);

export const kernel = recordType<KernelFields, "package">({
  kind: "kernel",
  defaults: () => ({}),
  fields: { package: (value) => aPackageName(typeof value === "function" ? value("amd64") : value) },
});

/** Debian's kernel for virtual machines: virtio and little else, a third of the size. */
export const cloudKernel: Kernel = kernel({ package: (architecture) => `linux-image-cloud-${architecture}` });

/** Debian's kernel with every driver. */
export const genericKernel: Kernel = kernel({ package: (architecture) => `linux-image-${architecture}` });
