import { mustHold } from "./access.ts";
import { parseVolume } from "./storages.ts";
import { type Operation, storageOf } from "./world.ts";

/** What is asked of the cluster as a whole, of its storages and tasks. */
export const clusterOperations: Readonly<Record<string, Operation>> = {
  "GET /version": async ({ world }) =>
    world.version === 8
      ? { version: "8.4.21", release: "8.4", repoid: "0123456789abcdef" }
      : { version: "9.1.4", release: "9.1", repoid: "0123456789abcdef" },

  "GET /access/permissions": async ({ world, identity, parameters }) => {
    const asked = parameters.path as string | undefined;
    const usual = ["/", "/access", "/nodes", "/sdn", "/storage", "/vms"];
    const named = [
      ...[...world.machines.keys()].map((vmid) => `/vms/${vmid}`),
      ...Object.keys(world.storages).map((storage) => `/storage/${storage}`),
    ];
    const paths = asked === undefined ? [...usual, ...named] : [asked];
    return Object.fromEntries(
      paths
        .map((path) => [path, Object.fromEntries([...identity.privileges(path)].map((name) => [name, 1]))] as const)
        .filter(([, held]) => asked !== undefined || Object.keys(held).length > 0),
    );
  },

  "GET /nodes": async ({ world }) =>
    world.nodes.map(({ name, fingerprint, isUp }) => ({
      node: name,
      type: "node",
      id: `node/${name}`,
      status: isUp ? "online" : "offline",
      ssl_fingerprint: fingerprint,
    })),

  "GET /cluster/resources": async ({ world, identity, parameters }) =>
    parameters.type !== "vm"
      ? []
      : [...world.machines.values()]
          // Without the privilege there is nothing, and no word of it.
          .filter(({ isListed, vmid }) => isListed && identity.privileges(`/vms/${vmid}`).has("VM.Audit"))
          .map((machine) => ({
            id: `qemu/${machine.vmid}`,
            type: "qemu",
            vmid: machine.vmid,
            node: machine.node,
            name: machine.keys.get("name") ?? `VM ${machine.vmid}`,
            // Gathered from broadcasts: nothing to decide by.
            status: "unknown",
          })),

  "GET /nodes/{node}/storage": async ({ world, identity, parameters }) =>
    Object.keys(world.storages)
      .filter((storage) => {
        const held = identity.privileges(`/storage/${storage}`);
        return held.has("Datastore.Audit") || held.has("Datastore.AllocateSpace");
      })
      .filter((storage) => parameters.storage === undefined || parameters.storage === storage)
      .map((storage) => ({ storage, type: "rbd", content: "images", active: 1, enabled: 1, shared: 1 })),

  "GET /nodes/{node}/storage/{storage}/content": async ({ world, path, parameters }) => {
    const storage = path.storage!;
    const images = await storageOf(world, storage).images();
    return [...images].flatMap(([image, size]) => {
      // What is not called after a machine does not exist for Proxmox.
      const volid = `${storage}:${image}`;
      if (!/^(vm|base)-\d+-\S+$/.test(image)) return [];
      const vmid = parseVolume(volid).owner;
      return parameters.vmid === undefined || parameters.vmid === vmid ? [{ volid, vmid, size, format: "raw" }] : [];
    });
  },

  "GET /nodes/{node}/tasks/{upid}/status": async ({ world, identity, path }) => {
    const task = world.tasks.find(path.upid!);
    if (task.user !== identity.name) mustHold(identity, `/nodes/${task.node}`, ["Sys.Audit"]);
    const { upid, node, type, id, user, exitStatus } = task;
    const ended = exitStatus === undefined ? { status: "running" } : { status: "stopped", exitstatus: exitStatus };
    return { upid, node, type, id, user, pid: 1, pstart: 1, starttime: 1, ...ended };
  },

  "GET /nodes/{node}/tasks/{upid}/log": async ({ world, identity, path, parameters }) => {
    const task = world.tasks.find(path.upid!);
    if (task.user !== identity.name) mustHold(identity, `/nodes/${task.node}`, ["Sys.Audit"]);
    const start = Number(parameters.start ?? 0);
    const lines = task.log.map((t, index) => ({ n: index + 1, t }));
    if (lines.length === 0) return [{ n: 1, t: "no content" }];
    return lines.slice(start, start + Number(parameters.limit ?? 50));
  },
};
