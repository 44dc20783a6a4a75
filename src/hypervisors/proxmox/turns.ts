/** Lets changes through: one at a time on a machine, a few on a node. Proxmox's own locks give up after ten seconds. */
export interface Turns {
  readonly machine: <T>(vmid: number, body: () => Promise<T>) => Promise<T>;
  readonly node: <T>(node: string, body: () => Promise<T>) => Promise<T>;
}

export function turns(parallelPerNode: number): Turns {
  const machines = new Map<number, Gate>();
  const nodes = new Map<string, Gate>();
  return {
    machine: (vmid, body) => gateOf(machines, vmid, 1)(body),
    node: (name, body) => gateOf(nodes, name, parallelPerNode)(body),
  };
}

/** Lets a number of bodies run at a time, the others in the order they came. */
export type Gate = <T>(body: () => Promise<T>) => Promise<T>;

export function gate(width: number): Gate {
  let free = width;
  const waiting: (() => void)[] = [];
  return async (body) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await body();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

function gateOf<K>(gates: Map<K, Gate>, key: K, width: number): Gate {
  const found = gates.get(key) ?? gate(width);
  gates.set(key, found);
  return found;
}

/** Runs `body` for each, at most `width` at once; the results in the order of `list`. */
export async function each<T, R>(list: readonly T[], width: number, body: (item: T) => Promise<R>): Promise<R[]> {
  const through = gate(width);
  return Promise.all(list.map((item) => through(() => body(item))));
}
