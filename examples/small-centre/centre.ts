// A centre of three machines on plain QEMU: two web servers that stand in for each other, and a gate.

import { centre, directoryPool, group, inherit, machine, nic, type OperatingSystem, qemu, volume } from "mesoforge";
import { base } from "./template.ts";
import { greeter } from "./web.ts";

/** Edit this line, then `meso plan`. */
const greeting = "Hello from the small centre";

const web = (hostName: string): OperatingSystem =>
  inherit(base, (os) => ({ hostName, services: [...os.services, greeter({ greeting })] }));

export default centre({
  name: "small",
  pool: directoryPool({ path: ".meso/pool" }),
  hypervisor: qemu({ directory: ".meso/machines" }),
  groups: { web: group({ mayBeDown: 1 }) },
  machines: {
    gate: machine({
      os: inherit(base, { hostName: "gate" }),
      memory: "512MiB",
      nics: [nic({ forwards: { 2200: 22 } })],
      volumes: { state: volume({ size: "1GiB" }) },
      wave: 0,
    }),
    "web/one": machine({
      os: web("web-one"),
      memory: "512MiB",
      group: "web",
      nics: [nic({ forwards: { 2201: 22, 8081: 80 } })],
      volumes: { state: volume({ size: "1GiB" }) },
    }),
    "web/two": machine({
      os: web("web-two"),
      memory: "512MiB",
      group: "web",
      nics: [nic({ forwards: { 2202: 22, 8082: 80 } })],
      volumes: { state: volume({ size: "1GiB" }) },
    }),
  },
});
