import assert from "node:assert/strict";
import { test } from "node:test";
import { explainFailure } from "./explain-failure.ts";

const asked = "PUT /nodes/pve1/qemu/127/config";
const codeOf = (status: number, text: string) => explainFailure({ status, text, asked }).code;

test("each of Proxmox's stable words is one of the driver's errors", () => {
  const words: readonly [number, string, string][] = [
    [500, "Configuration file 'nodes/pve1/qemu-server/127.conf' does not exist\n", "no-machine"],
    [500, "storage 'cehp' does not exist", "invalid-setting"],
    [500, "checksum mismatch (file change by other user?)", "conflict"],
    [500, "checksum missmatch (file change by other user?)", "conflict"],
    [500, "VM is locked (backup)", "machine-locked"],
    [500, "can't lock file '/var/lock/qemu-server/lock-127.conf' - got timeout", "busy-retry"],
    [0, "can't lock file '/var/lock/qemu-server/lock-127.conf' - got timeout", "busy-retry"],
    [0, "VM quit/powerdown failed - got timeout", "power-off-timeout"],
    [500, "QEMU guest agent is not running", "agent-silent"],
    [500, "No QEMU guest agent configured", "agent-silent"],
    [500, "VM 127 is not running", "agent-silent"],
    [500, "Agent error: Invalid parameter 'pid'", "agent-refused"],
    [500, "can't remove VM 127 - protection mode enabled", "machine-locked"],
    [500, "volume 'ceph:vm-127-state' is still in use (snapshot?)", "disk-in-use"],
    [0, "rbd error: rbd: error: image still has watchers", "disk-in-use"],
    [500, "unable to parse rbd volume name 'VMroot_x'", "invalid-setting"],
    [500, "hostname lookup 'pve9' failed - failed to get address info for: pve9", "invalid-setting"],
    [500, "only root can set 'args' config", "task-failed"],
    [401, "", "forbidden"],
    [403, "Permission check failed (/vms/127, VM.Config.CPU)", "forbidden"],
    [501, "Method 'GET /x' not implemented", "invalid-setting"],
    [595, "No route to host", "unknown-outcome"],
    [596, "", "unknown-outcome"],
    [0, "start failed: QEMU exited with code 1", "task-failed"],
  ];
  for (const [status, text, code] of words) assert.equal(codeOf(status, text), code, text);
});

test("a refusal names privilege and path, wrong fields, what was asked and the log's end", () => {
  const lacking = explainFailure({ status: 403, text: "Permission check failed (/vms/127, VM.Config.CPU)\n", asked });
  assert.match(lacking.message, /the token lacks VM\.Config\.CPU on \/vms\/127\n {2}asked: PUT/);
  const fields = { scsi0: "invalid format - format error\n", cores: "value must have a minimum value of 1" };
  const wrong = explainFailure({ status: 400, text: "Parameter verification failed.\n", asked, fields });
  assert.match(wrong.message, /verification failed\.; scsi0: invalid format - format error; cores: value must/);
  const hotplug = { scsi0: "hotplug problem - can't unplug bootdisk 'scsi0'\n" };
  assert.equal(
    explainFailure({ status: 400, text: "Parameter verification failed.\n", asked, fields: hotplug }).code,
    "busy-retry",
  );
  const task = explainFailure({ status: 0, text: "no", asked: "UPID:x", log: ["one", "TASK ERROR: no"] });
  assert.match(task.message, /log: one\n {2}log: TASK ERROR: no/);
});
