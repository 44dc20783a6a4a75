import { assert } from "../../base/error.ts";
import type { CephContext } from "./context.ts";
import { ownPrefix } from "./settings.ts";

/** Listing a pool's objects would pass by every block of every image: the names are entries of one object. */
const namesObject = `${ownPrefix}documents`;
const mostBytes = 16 << 20;

export async function putDocument({ settings, rbd }: CephContext, name: string, bytes: Uint8Array): Promise<void> {
  assert(bytes.length <= mostBytes, `the document ${name} has ${bytes.length} bytes`);
  const driver = await rbd();
  await driver.writeObject(settings.pool, objectOf(name), bytes);
  await driver.setEntry(settings.pool, namesObject, name, "");
}

export async function readDocument({ settings, rbd }: CephContext, name: string): Promise<Uint8Array | undefined> {
  return (await rbd()).readObject(settings.pool, objectOf(name));
}

export async function documentNames({ settings, rbd }: CephContext): Promise<readonly string[]> {
  return [...(await (await rbd()).entries(settings.pool, namesObject)).keys()];
}

export async function removeDocument({ settings, rbd }: CephContext, name: string): Promise<void> {
  const driver = await rbd();
  await driver.removeEntries(settings.pool, namesObject, [name]);
  await driver.removeObject(settings.pool, objectOf(name));
}

function objectOf(name: string): string {
  return `${ownPrefix}document.${name}`;
}
