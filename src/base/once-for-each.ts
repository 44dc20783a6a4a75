import { canonicalJson } from "./canonical.ts";

/** `compute` that remembers, as long as it lives, what it gave for each plain value; what failed is tried again. */
export function onceForEach<Key, Value>(compute: (key: Key) => Promise<Value>): (key: Key) => Promise<Value> {
  const known = new Map<string, Promise<Value>>();
  return (key) => {
    const name = canonicalJson(key);
    const before = known.get(name);
    if (before) return before;
    const value = compute(key);
    known.set(name, value);
    value.catch(() => known.delete(name));
    return value;
  };
}
