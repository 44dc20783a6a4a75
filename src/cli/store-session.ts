import { failure } from "../base/error.ts";
import { findItem } from "../store/find-item.ts";
import type { ItemRecord } from "../store/item-record.ts";
import { type Items, openItems } from "../store/items.ts";
import type { Store } from "../store/store.ts";
import type { CommandContext } from "./command.ts";
import { storeOf } from "./program-session.ts";

/** The store of a command that works on items, and the items that its arguments name. */
export interface StoreSession {
  readonly store: Store;
  readonly items: Items;
  /** @throws MesoError `no-such-item`. */
  readonly named: (said: string) => ItemRecord;
}

export function storeSession(context: CommandContext): StoreSession {
  const store = storeOf(context);
  const items = openItems(store);
  return { store, items, named: (said) => findItem(store, items, said) };
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 7 * 86_400 };

/**
 * Seconds: `90s`, `30m`, `1h`, `30d`, `2w`; 0 without a unit.
 *
 * @throws MesoError `usage`.
 */
export function parseDuration(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(text.trim());
  if (match) return Number(match[1]) * units[match[2]!]!;
  if (/^0+$/.test(text)) return 0;
  throw failure("usage", `found ${JSON.stringify(text)} for --${option}`, {
    expected: "a number with a unit: 90s, 30m, 1h, 30d, 2w",
  });
}
