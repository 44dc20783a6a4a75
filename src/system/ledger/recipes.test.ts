import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { accountNumber } from "../account-numbers.ts";
import { recipesFor } from "./all-recipes.ts";
import { fileCapability } from "./file-capability.ts";
import type { Recipe } from "./recipe.ts";

const recipes = await readRecipes();

async function readRecipes(): Promise<Recipe[]> {
  const files = readdirSync(new URL("recipes/", import.meta.url)).sort();
  const modules = await Promise.all(files.map((file) => import(new URL(`recipes/${file}`, import.meta.url).href)));
  return modules.flatMap((module) => Object.values(module).flat() as Recipe[]);
}

test("every file of recipes is part of the ledger", () => {
  assert.ok(recipes.length > 100);
  for (const recipe of recipes)
    assert.ok(recipesFor(recipe.package.replace("*", "x")).includes(recipe), recipe.package);
});

test("recipes name digests, once, and say why", () => {
  for (const { package: name, residues, why } of recipes) {
    for (const residue of residues) assert.match(residue, /^[0-9a-f]{64}$/, name);
    assert.equal(new Set(residues).size, residues.length, name);
    assert.ok(why.length > 20, name);
  }
});

test("accounts and owners that recipes name have numbers", () => {
  for (const { package: name, gives } of recipes) {
    const effects = typeof gives === "function" ? gives({ name, controlFiles: {}, entries: [] }) : (gives ?? {});
    const owned = [effects.directories, effects.files, effects.copies, effects.attributes].flatMap((all) => all ?? []);
    const users = [...(effects.users ?? []).map((user) => user.name), ...owned.flatMap(({ user }) => user ?? [])];
    const groups = [...(effects.groups ?? []), ...owned.flatMap(({ group }) => group ?? [])];
    for (const user of users) assert.notEqual(accountNumber("user", user), undefined, `${name}: ${user}`);
    for (const group of groups) assert.notEqual(accountNumber("group", group), undefined, `${name}: ${group}`);
  }
});

test("what scripts enable by links is read from what the package ships", () => {
  const entries = [
    "/etc/apache2/mods-available/mpm_event.load",
    "/etc/apache2/mods-available/mpm_event.conf",
    "/etc/apache2/mods-available/userdir.load",
    "/etc/apache2/sites-available/000-default.conf",
    "/usr/share/php8.4-xml/xml/xml.ini",
  ].map((path) => ({ path, kind: "file" as const }));
  const effectsOf = (name: string) => {
    const [recipe] = recipesFor(name).filter(({ package: about }) => about !== "*");
    assert.ok(typeof recipe?.gives === "function");
    return recipe.gives({ name, controlFiles: {}, entries });
  };
  assert.deepEqual(
    effectsOf("apache2").links?.map(({ path, target }) => `${path} ${target}`),
    [
      "/etc/apache2/mods-enabled/mpm_event.load ../mods-available/mpm_event.load",
      "/etc/apache2/mods-enabled/mpm_event.conf ../mods-available/mpm_event.conf",
      "/etc/apache2/sites-enabled/000-default.conf ../sites-available/000-default.conf",
    ],
  );
  const php = effectsOf("php8.4-xml");
  assert.equal(php.copies?.[0]?.path, "/etc/php/8.4/mods-available/xml.ini");
  assert.ok(php.links?.some(({ path }) => path === "/etc/php/8.4/fpm/conf.d/15-xml.ini"));
  const fonts = recipesFor("fontconfig-config").find(({ package: about }) => about === "fontconfig-config");
  assert.ok(typeof fonts?.gives === "function");
  for (const bitmaps of ["70-no-bitmaps.conf", "70-no-bitmaps-except-emoji.conf"]) {
    const shipped = [{ path: `/usr/share/fontconfig/conf.avail/${bitmaps}`, kind: "file" as const }];
    assert.deepEqual(
      fonts.gives({ name: "fontconfig-config", controlFiles: {}, entries: shipped }).links?.map(({ path }) => path),
      ["/etc/fonts/conf.d/10-hinting-slight.conf", `/etc/fonts/conf.d/${bitmaps}`],
    );
  }
  const local = recipesFor("anything").find(({ package: about }) => about === "*");
  assert.ok(typeof local?.gives === "function");
  const postinst = "done\n) << DATA\n/usr/local/share/zsh default\n/usr/local/x 02775 root staff\nDATA\n";
  assert.deepEqual(local.gives({ name: "zsh-common", controlFiles: { postinst }, entries: [] }), {
    directories: [
      { path: "/usr/local/share/zsh", mode: 0o755, user: "root", group: "root" },
      { path: "/usr/local/x", mode: 0o2775, user: "root", group: "staff" },
    ],
  });
});

// Values as the kernel stores them (getfattr -e hex after setcap), linux/capability.h.
test("capabilities become what setcap stores", () => {
  assert.equal(fileCapability("cap_net_raw+ep"), "0100000200200000000000000000000000000000");
  assert.equal(fileCapability("cap_dac_read_search=p"), "0000000204000000000000000000000000000000");
  assert.equal(fileCapability("cap_setuid,cap_setgid=p"), "00000002c0000000000000000000000000000000");
  assert.equal(fileCapability("cap_flying+ep"), undefined);
  assert.equal(fileCapability("cap_net_raw+ei"), undefined);
});
