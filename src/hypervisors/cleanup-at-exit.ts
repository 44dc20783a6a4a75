/**
 * Runs `clean` when the process ends, by itself or by a signal that a terminal or a service manager sends.
 * `clean` must be synchronous and bear being run twice. Gives a function that takes it off the list.
 */
export function cleanupAtExit(clean: () => void): () => void {
  if (pending.size === 0) {
    process.on("exit", cleanAll);
    for (const signal of signals) process.on(signal, onSignal);
  }
  pending.add(clean);
  return () => {
    pending.delete(clean);
    if (pending.size > 0) return;
    process.off("exit", cleanAll);
    for (const signal of signals) process.off(signal, onSignal);
  };
}

const pending = new Set<() => void>();
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function cleanAll(): void {
  for (const clean of pending) {
    try {
      clean();
    } catch {
      // The others must still be tried; there is nobody left to tell.
    }
  }
}

/** Somebody else may handle the signal and end in order; alone, we end as the signal would have. */
function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  cleanAll();
  for (const each of signals) process.off(each, onSignal);
  process.kill(process.pid, signal);
}
