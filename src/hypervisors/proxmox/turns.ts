/** Lets changes through: one at a time on a machine, a few on a node. Proxmox's own locks give up after ten seconds. */
export interface Turns {
  readonly machine: <T>(vmid: number, body: () => Promise<T>) => Promise<T>;
  readonly node: <T>(node: string, body: () => Promise<T>) => Promise<T>;
}

export function turns(parallelPerNode: number): Turns {
  const machines = new Map<number, Gate>();
  const nodes = new Map<string, Gate>();
  return {
    machine: (vmid, body) => pass(gateOf(machines, vmid, 1), body),
    node: (name, body) => pass(gateOf(nodes, name, parallelPerNode), body),
  };
}

interface Gate {
  free: number;
  readonly waiting: (() => void)[];
}

function gateOf<K>(gates: Map<K, Gate>, key: K, width: number): Gate {
  const gate = gates.get(key) ?? { free: width, waiting: [] };
  gates.set(key, gate);
  return gate;
}

async function pass<T>(gate: Gate, body: () => Promise<T>): Promise<T> {
  if (gate.free > 0) gate.free--;
  else await new Promise<void>((resolve) => gate.waiting.push(resolve));
  try {
    return await body();
  } finally {
    const next = gate.waiting.shift();
    if (next) next();
    else gate.free++;
  }
}

/** Runs `body` for each, at most `width` at once; the results in the order of `list`. */
export async function each<T, R>(list: readonly T[], width: number, body: (item: T) => Promise<R>): Promise<R[]> {
  const gate: Gate = { free: width, waiting: [] };
  return Promise.all(list.map((item) => pass(gate, () => body(item))));
}
