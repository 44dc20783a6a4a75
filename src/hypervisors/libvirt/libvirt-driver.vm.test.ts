import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeRaw } from "../../image/output/write-raw.ts";
import { startLibvirt } from "../../test-support/libvirt-daemon.ts";
import { driverSuite } from "../driver-suite.testing.ts";
import { libvirtDriver } from "./libvirt-driver.ts";
import { virsh } from "./virsh.ts";

const files = { segmentDataPath: () => "" };

driverSuite("libvirt", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-libvirt-disks-"));
  const daemon = await startLibvirt();
  const connection = virsh(daemon.uri);
  return {
    driver: libvirtDriver({ uri: daemon.uri, domainType: "qemu" }),
    id: (number) => ({ name: `toy-${number}` }),
    spec: { nics: [{ network: "user", mac: "52:54:00:00:00:01" }] },
    disk: async (_, name, recipe) => {
      const path = join(folder, `${name} & 'disk'.raw`);
      writeRaw(recipe, path, files);
      return { kind: "file", path, format: "raw" };
    },
    diskExists: async (disk) => disk.kind === "file" && existsSync(disk.path),
    setOption: async ({ name }) => {
      const text = await connection.run(["dumpxml", name, "--inactive"]);
      const input = text.replace(
        "<driver name='qemu' type='raw'",
        "<driver name='qemu' type='raw' cache='writethrough'",
      );
      await connection.run(["define", "/dev/stdin"], { input });
      return "cache='writethrough'";
    },
    close: async () => {
      await daemon.stop();
      rmSync(folder, { recursive: true });
    },
  };
});
