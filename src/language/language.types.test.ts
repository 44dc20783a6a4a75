import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bin,
  debian,
  extend,
  fileSystem,
  inherit,
  label,
  modify,
  operatingSystem,
  serviceType,
  simpleService,
  text,
  userAccount,
} from "../index.ts";
import type { InputOf } from "./record.ts";

// What the type checker must refuse; `tsc --noEmit` is the test, and fails when a line below would be accepted.
// The functions are never called.

const sink = serviceType<{ items?: readonly string[] }, readonly string[]>({
  name: "sink",
  description: "",
  options: { items: "" },
  defaults: { items: [] },
  extend: (options) => options,
});

const leaf = serviceType<{ name: string; port?: number; key?: string | undefined }>({
  name: "leaf",
  description: "",
  options: { name: "", port: "", key: "" },
  defaults: { port: 1, key: undefined },
  extensions: [extend(sink, ({ name, port, key }) => [name.trim(), port.toFixed(), key?.trim() ?? ""])],
});

export function records() {
  const root = fileSystem({ device: label("a"), mountPoint: "/", type: "ext4" });
  // @ts-expect-error a device is no string
  fileSystem({ device: "/dev/sda", mountPoint: "/", type: "ext4" });
  // @ts-expect-error unknown type of file system
  fileSystem({ device: label("a"), mountPoint: "/", type: "ext5" });
  // @ts-expect-error no mount point
  fileSystem({ device: label("a"), type: "ext4" });
  // @ts-expect-error host name missing
  operatingSystem({ fileSystems: [root] });
  // @ts-expect-error misspelt field
  operatingSystem({ hostName: "a", fileSystems: [root], kernelArgument: [] });
  // @ts-expect-error the classic slip: a list inside the list
  operatingSystem({ hostName: "a", fileSystems: [[root]] });
  // @ts-expect-error records do not change
  root.mountPoint = "/srv";
  // @ts-expect-error nor do their lists
  root.options.push("x");
  return root;
}

export function inheritance(os: ReturnType<typeof operatingSystem>) {
  const name: string = inherit(os, { hostName: "b" }).hostName;
  inherit(os, (old) => ({ packages: [...old.packages, "htop", debian("jq")], users: [userAccount({ name })] }));
  const known: InputOf<typeof os> = { hostName: "x", fileSystems: [] };
  inherit(os, known);
  // @ts-expect-error no such field
  inherit(os, { hostNam: "b" });
  // @ts-expect-error no such field, in a function
  inherit(os, (old) => ({ hostNam: old.hostName }));
  // @ts-expect-error wrong type
  inherit(os, { hostName: 3 });
  // @ts-expect-error wrong type, in a function
  inherit(os, () => ({ hostName: 3 }));
}

export function services() {
  leaf({ name: "a" });
  sink();
  // @ts-expect-error an option without default
  leaf();
  // @ts-expect-error misspelt option
  leaf({ name: "a", prot: 3 });
  // @ts-expect-error the target wants words
  extend(sink, () => [3]);
  // @ts-expect-error the target takes nothing
  extend(leaf, () => ["a"]);
  // @ts-expect-error the target wants words
  simpleService("x", sink, [1]);
  // @ts-expect-error wrong type of option
  modify(leaf, { port: "80" });
  modify(leaf, ({ port }) => ({ port: port + 1 }));
  // @ts-expect-error a default for each option that may be left out
  serviceType<{ port?: number }>({ name: "x", description: "", options: { port: "" }, defaults: {} });
  // @ts-expect-error a sentence for each option
  serviceType<{ port?: number }>({ name: "x", description: "", options: {}, defaults: { port: 1 } });
  // @ts-expect-error whoever takes contributions says what becomes of them
  serviceType<{ port?: number }, string>({ name: "x", description: "", options: { port: "" }, defaults: { port: 1 } });
}

export function texts() {
  text`${bin("a", "b")} ${1} ${["a", text`b`]}`;
  // @ts-expect-error a package is no text: one of its files is
  text`${debian("a")}`;
  // @ts-expect-error nor is what may be missing
  text`${undefined}`;
}

test("the module of types loads", () => {
  assert.equal(typeof records, "function");
});
