import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { DiskLocation } from "../../pools/pool.ts";
import { cephMonitors, monitorsIn } from "./ceph-monitors.ts";
import {
  type CephAccess,
  disksOf,
  newDisk,
  newScsiController,
  scsiController,
  volumeName,
  withSource,
} from "./domain-disks.ts";
import { parseXml } from "./xml.ts";

const secret = "11111111-2222-4333-8444-555555555555";
const access: CephAccess = {
  secret,
  monitors: [
    { host: "10.0.0.1", port: 3300 },
    { host: "mon-2", port: undefined },
  ],
};
const rbd = (image: string, pool = "machines"): DiskLocation => ({ kind: "rbd", pool, image, user: "meso" });
const file = (path: string, format: "raw" | "qcow2" = "raw"): DiskLocation => ({ kind: "file", path, format });

const domain = (...disks: readonly string[]) => `<domain type='qemu'>
  <name>a</name>
  <devices>
    ${disks.join("\n    ")}
  </devices>
</domain>`;

/** The disk's text with another source. */
function exchanged(disk: string, location: DiskLocation, by = access): string {
  const text = domain(disk);
  return withSource(text, disksOf(parseXml(text))[0]!.element, location, by);
}

const fileDisk = `<disk type='file' device='disk' snapshot="no">
      <driver name='qemu' type='raw' cache='none'/>
      <source file="/srv/it&apos;s" startupPolicy='optional'><seclabel model='dac' relabel='no'/></source>
      <target dev='sda' bus='scsi'/>
      <iotune><total_iops_sec>500</total_iops_sec></iotune>
    </disk>`;
const rbdDisk = `<disk type='network' device='disk'>
      <driver name='qemu' type='raw' discard='unmap'/>
      <auth username='old'/>
      <source protocol='rbd' name='machines/vm-1-root-1'>
        <host name='a.example' port='6789'/>
        <auth username='meso'><secret type='ceph' uuid='${secret}'/></auth>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>`;

test("disks: another file changes the file's name, and nothing else", () => {
  const other = exchanged(fileDisk, file(`/srv/<"other"> & 'that'`));
  assert.equal(other, fileDisk.replace("/srv/it&apos;s", "/srv/&lt;&quot;other&quot;&gt; &amp; &apos;that&apos;"));
  assert.equal(exchanged(other, file("/srv/it's")), fileDisk.replace("&apos;", "&apos;"));
  assert.equal(exchanged(fileDisk, file("/srv/it's")), fileDisk, "what is there already changes nothing");
  assert.equal(exchanged(fileDisk, file("/srv/it's", "qcow2")), fileDisk.replace("type='raw'", "type='qcow2'"));
});

test("disks: another image of the same pool and user keeps the way to the cluster", () => {
  assert.equal(exchanged(rbdDisk, rbd("vm-1-root-2")), rbdDisk.replace("root-1", "root-2"));
  const unsaid = { secret: undefined, monitors: [] };
  assert.equal(exchanged(rbdDisk, rbd("vm-1-root-2"), unsaid), rbdDisk.replace("root-1", "root-2"));
  const whole =
    "<source protocol='rbd' name='other/x'><host name='10.0.0.1' port='3300'/><host name='mon-2'/>" +
    `<auth username='meso'><secret type='ceph' uuid='${secret}'/></auth></source>`;
  const moved = exchanged(rbdDisk, rbd("x", "other"));
  assert.equal(moved, rbdDisk.replace(/<source[\s\S]*<\/source>/, whole));
  const rekeyed = exchanged(rbdDisk, rbd("vm-1-root-1"), { ...access, secret: "99999999-2222-4333-8444-555555555555" });
  assert.match(rekeyed, /<auth username='meso'><secret type='ceph' uuid='99999999-/);
});

test("disks: from one kind of source to another, and what belonged to the old bytes goes", () => {
  const toRbd = exchanged(fileDisk, rbd("x"));
  assert.match(
    toRbd,
    /^<disk type='network' device='disk' snapshot="no">\s+<driver name='qemu' type='raw' cache='none'\/>\s+<source protocol='rbd' name='machines\/x'>/,
  );
  assert.ok(
    toRbd.includes("<iotune><total_iops_sec>500</total_iops_sec></iotune>") && !toRbd.includes("startupPolicy"),
  );
  const toBlock = exchanged(fileDisk, file("/dev/vg/root"));
  assert.match(toBlock, /^<disk type='block' [\s\S]*<source dev='\/dev\/vg\/root'\/>/);
  assert.match(exchanged(toBlock, file("/dev/vg/other")), /<source dev='\/dev\/vg\/other'\/>/);
  const bound = `<disk type='file' device='disk'><source file='/a'><encryption format='luks'/></source><backingStore type='file'><format type='raw'/><source file='/base'/></backingStore><target dev='sda' bus='sata'/></disk>`;
  const freed = exchanged(bound, file("/b", "qcow2"));
  assert.equal(
    freed,
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/b'/><target dev='sda' bus='sata'/></disk>",
  );
  const snapshot = rbdDisk.replace("<host ", "<snapshot name='s'/><host ");
  assert.ok(!exchanged(snapshot, rbd("vm-1-root-2")).includes("snapshot"));
});

test("disks: slots are named by our alias, or by bus and letter; volumes by what is in them", () => {
  const disk = (type: string, source: string, target: string, more = "") =>
    `<disk type='${type}' device='disk'>${source}<target ${target}/>${more}</disk>`;
  const found = disksOf(
    parseXml(
      domain(
        disk("file", "<source file='/a'/>", "dev='sdb' bus='sata'", "<alias name='ua-scsi7'/>"),
        disk("block", "<source dev='/dev/b'/>", "dev='sdc' bus='scsi'"),
        disk("network", "<source protocol='nbd' name='c'/>", "dev='vdab' bus='virtio'"),
        disk("volume", "<source pool='p' volume='v'/>", "dev='hda' bus='ide'"),
        disk("nvme", "<source type='pci' namespace='1'/>", "dev='sdd' bus='scsi'", "<alias name='ua-scsi2'/>"),
        disk("file", "", "dev='xvda' bus='xen'"),
        "<disk type='file' device='cdrom'><source file='/cd'/><target dev='sde' bus='sata'/></disk>",
        "<disk type='file' device='lun'><source file='/l'/><target dev='sdf' bus='scsi'/></disk>",
      ),
    ),
  );
  assert.deepEqual(
    found.map(({ slot, volume }) => [slot, volume]),
    [
      ["scsi7", "/a"],
      ["scsi2", "/dev/b"],
      ["virtio27", "nbd:c"],
      ["ide0", "volume:p/v"],
      // Two that would be the same: the second by its letter.
      ["sdd", "nvme:pci,1"],
      ["xvda", ""],
      ["scsi5", "/l"],
    ],
  );
  assert.equal(volumeName(rbd("x")), "rbd:machines/x");
  assert.throws(() => volumeName(file("relative")), { code: "invalid-setting" });
});

test("disks: a new one gets a free letter, its serial, and a place on the bus that stays", () => {
  const root = parseXml(domain(fileDisk, "<controller type='scsi' index='0' model='lsilogic'/>"));
  assert.equal(scsiController(root), undefined);
  assert.deepEqual(newScsiController(root), {
    index: 1,
    text: "<controller type='scsi' index='1' model='virtio-scsi'/>",
  });
  assert.equal(scsiController(parseXml(domain(newScsiController(root).text))), 1);
  assert.equal(
    newDisk(root, "scsi0", file("/b"), access, { serial: "data", controller: 1 }),
    "<disk type='file' device='disk'><driver name='qemu' type='raw' discard='unmap'/><source file='/b'/>" +
      "<target dev='sdb' bus='scsi'/><serial>data</serial><alias name='ua-scsi0'/>" +
      "<address type='drive' controller='1' bus='0' target='0' unit='0'/></disk>",
  );
  assert.match(
    newDisk(root, "virtio27", rbd("x"), access, { boot: true }),
    /<target dev='vdab' bus='virtio'\/><boot order='1'\/><alias name='ua-virtio27'\/><\/disk>$/,
  );
  const refused = [
    () => newDisk(root, "virtio0", file("/b"), access, { serial: "x".repeat(21) }),
    () => newDisk(root, "scsi0", file("/b"), access, { serial: "<" }),
    () => newDisk(root, "ide0", file("/b"), access, {}),
    () => newDisk(root, "scsi0", file("/\x1b"), access, {}),
  ];
  for (const each of refused) assert.throws(each, { code: "invalid-setting" });
});

test("ceph.conf: the monitors, however they are written", () => {
  const hosts = (text: string) =>
    monitorsIn(text, "ceph.conf").map(({ host, port }) => (port ? `${host} ${port}` : host));
  assert.deepEqual(hosts("[global]\nmon host = 10.0.0.1, mon-2.example:6789 [fd00::1]:3300\n"), [
    ...["10.0.0.1", "mon-2.example 6789", "fd00::1 3300"],
  ]);
  assert.deepEqual(
    hosts("mon_host=[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0],[v1:[fd00::2]:6789/0,v2:[fd00::2]:3300/0] # two\n"),
    ["10.0.0.1 3300", "fd00::2 3300"],
  );
  assert.deepEqual(
    hosts('[global]\nfsid = x\n;mon_host = no\nmon-host = "v2:10.0.0.1:3300"\n[client]\nmon_host = other'),
    ["10.0.0.1 3300"],
  );
  assert.deepEqual(hosts("[global]\nmon_dns_srv_name = x\n"), []);
  for (const wrong of ["mon_host = a/b/c", "mon_host = a:0", "mon_host = a:99999", "mon_host = <", "mon_host = [v2:"]) {
    assert.throws(() => hosts(wrong), { code: "invalid-setting" }, wrong);
  }
  const folder = mkdtempSync(join(tmpdir(), "meso-ceph-conf-"));
  try {
    writeFileSync(join(folder, "ceph.conf"), "[global]\nmon_host = [v2:127.0.0.1:20123/0]\n");
    assert.deepEqual(cephMonitors(join(folder, "ceph.conf")), [{ host: "127.0.0.1", port: 20123 }]);
    assert.throws(() => cephMonitors(join(folder, "none")), { code: "invalid-setting" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
