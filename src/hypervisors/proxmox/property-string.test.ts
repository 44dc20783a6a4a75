import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { propertyOf, volumeOf, withProperty, withVolume } from "./property-string.ts";
import { parseTaskId } from "./task-id.ts";

test("a disk's volume is exchanged, and every other letter stays", () => {
  const raw = "ceph:vm-127-disk-0,discard=on,iops_rd=500,wwn=0x5000000000000001,size=32G";
  assert.equal(volumeOf(raw), "ceph:vm-127-disk-0");
  assert.equal(
    withVolume(raw, "ceph:vm-127-root-202309242151"),
    "ceph:vm-127-root-202309242151,discard=on,iops_rd=500,wwn=0x5000000000000001,size=32G",
  );
  assert.equal(withVolume("size=1G,file=a:vm-1-x,ssd=1", "a:vm-1-y"), "size=1G,file=a:vm-1-y,ssd=1");
  assert.equal(withVolume("volume=a:vm-1-x", "a:vm-1-y"), "volume=a:vm-1-y");
  assert.equal(volumeOf("none,media=cdrom"), undefined);
  assert.equal(volumeOf("media=cdrom"), undefined);
  assert.equal(withProperty("a:vm-1-x,serial=old,ssd=1", "serial", "new"), "a:vm-1-x,serial=new,ssd=1");
  assert.equal(withProperty("a:vm-1-x,ssd=1", "serial", "new"), "a:vm-1-x,ssd=1,serial=new");
  assert.equal(propertyOf("1,fstrim_cloned_disks=1", "enabled"), "1");
  assert.equal(propertyOf("type=virtio", "enabled"), undefined);
});

test("whatever the options are, there and back is the same text", () => {
  const word = fc.stringMatching(/^[a-z_]{1,8}$/).filter((key) => key !== "file" && key !== "volume");
  const part = fc.tuple(word, fc.stringMatching(/^[^,]{0,12}$/)).map(([key, value]) => `${key}=${value}`);
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.constantFrom("", "file=", "volume="), (parts, name) => {
      const raw = [`${name}ceph:vm-1-a`, ...parts].join(",");
      assert.equal(volumeOf(raw), "ceph:vm-1-a");
      assert.equal(withVolume(withVolume(raw, "ceph:vm-1-b"), "ceph:vm-1-a"), raw);
    }),
  );
});

test("a task's name is read strictly: what is not one is an unknown outcome", () => {
  const upid = "UPID:pve-2:0000ABCD:012345678:65123456:qmstart:127:root@pam!deploy:";
  assert.deepEqual(parseTaskId(upid), { upid, node: "pve-2", type: "qmstart", id: "127", user: "root@pam!deploy" });
  assert.equal(parseTaskId("UPID:a:00000001:00000002:00000003:vzdump::me@pve:").id, "");
  const hostile = [
    null,
    7,
    {},
    "",
    upid.slice(0, -1),
    `${upid}x`,
    upid.replace("pve-2", "../.."),
    upid.replace("pve-2", "pve 2"),
    upid.replace("0000ABCD", "ABCD"),
    upid.replace("qmstart", "qm/start"),
    `UPID:${"a".repeat(600)}:0000ABCD:01234567:65123456:qmstart:127:a@b:`,
  ];
  for (const value of hostile) assert.throws(() => parseTaskId(value), { code: "unknown-outcome" });
});
