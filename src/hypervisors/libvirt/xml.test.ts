import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { attribute, child, childrenOf, edited, escapeXml, parseXml, xml } from "./xml.ts";

test("xml: reads what libvirt prints, with places", () => {
  const text = `<?xml version="1.0"?>
<!-- made by hand -->
<domain type='qemu' id="3">
  <name>a &amp; b&#x20;&lt;c&#62;</name>
  <devices>
    <disk type='file'/>
    <disk type="block"><source dev='/dev/x'/></disk>
    <!-- <disk/> -->
  </devices>
  <metadata><m:note xmlns:m="urn:x"><![CDATA[<not & read>]]> tail<?an instruction?></m:note></metadata>
</domain>
`;
  const domain = parseXml(text);
  assert.equal(attribute(domain, "type"), "qemu");
  assert.equal(child(domain, "name")?.text, "a & b <c>");
  const disks = childrenOf(child(domain, "devices"), "disk");
  assert.deepEqual(
    disks.map(({ start, end }) => text.slice(start, end)),
    ["<disk type='file'/>", `<disk type="block"><source dev='/dev/x'/></disk>`],
  );
  assert.equal(text.slice(disks[1]!.innerStart, disks[1]!.innerEnd), "<source dev='/dev/x'/>");
  const device = child(disks[1], "source")?.attributes.get("dev");
  assert.equal(text.slice(device?.start, device?.end), "/dev/x");
  assert.equal(child(domain, "metadata", "m:note")?.text, "<not & read> tail");
  assert.equal(child(domain, "nothing", "name"), undefined);
});

test("xml: refuses everything else, in words and in time", () => {
  const wrong = [
    "",
    "text",
    "<a>",
    "<a></b>",
    "<a/><b/>",
    "<a/>x",
    "<a b/>",
    "<a b=c/>",
    "<a b='1' b='2'/>",
    "<a b='<'/>",
    "<a b='1",
    "<a b='1'c='2'/>",
    "<a>&nbsp;</a>",
    "<a>&#0;</a>",
    "<a>&#xd800;</a>",
    "<a>&#x110000;</a>",
    "<a>&amp</a>",
    "<a>& b</a>",
    "<a><!-- </a>",
    "<a><![CDATA[ </a>",
    "<a></a",
    "< a/>",
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    '<a><!DOCTYPE b SYSTEM "/etc/passwd"></a>',
    "<?xml ",
    `${"<a>".repeat(100)}${"</a>".repeat(100)}`,
    "<a>".repeat(1e6),
    `<a>${" ".repeat(9 << 20)}</a>`,
    `<a ${"b".repeat(1 << 20)}`,
  ];
  const start = performance.now();
  for (const text of wrong) assert.throws(() => parseXml(text), { code: "task-failed" }, text.slice(0, 40));
  assert.ok(performance.now() - start < 2000);
});

test("xml: a truncated or damaged description is refused or read, never a crash", () => {
  const whole = xml("domain", { type: "qemu" }, xml("name", {}, escapeXml("it's <&>")), "<!-- x -->", xml("a", {}));
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parseXml(whole.slice(0, length)), { code: "task-failed" });
  }
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.constantFrom(..."<>&;'\"/=! \0é"), (at, other) => {
      try {
        parseXml(whole.slice(0, at) + other + whole.slice(at + 1));
      } catch (error) {
        assert.equal((error as { code?: string }).code, "task-failed");
      }
    }),
  );
});

test("xml: what is written is read back, whatever it holds", () => {
  const printable = fc.string({ unit: "grapheme" }).filter((text) => {
    try {
      return escapeXml(text) !== undefined;
    } catch {
      return false;
    }
  });
  fc.assert(
    fc.property(printable, printable, (value, text) => {
      const read = parseXml(xml("a", { b: value, c: undefined, d: 3 }, escapeXml(text)));
      assert.equal(attribute(read, "b"), value);
      assert.equal(attribute(read, "c"), undefined);
      assert.equal(attribute(read, "d"), "3");
      assert.equal(read.text, text);
    }),
  );
  for (const bad of ["\0", "\x1b[2J", "\ud800", "\ufffe"]) {
    assert.throws(() => xml("a", { b: bad }), { code: "invalid-setting" });
  }
});

test("xml: edits touch their places only", () => {
  assert.equal(
    edited("<a b='1' c='2'/>", [
      { start: 12, end: 13, by: "22" },
      { start: 6, end: 7, by: "" },
    ]),
    "<a b='' c='22'/>",
  );
  assert.throws(
    () =>
      edited("abc", [
        { start: 0, end: 2, by: "" },
        { start: 1, end: 3, by: "" },
      ]),
    /assertion/,
  );
});
