import { sortedBy } from "../base/order.ts";

/** What a server counts, as Prometheus reads it (text exposition format 0.0.4). */
export interface ServerMetrics {
  /** Call when a request begins; what it gives, when the answer has gone. */
  begun(): (kind: string, status: number, bytes: number) => void;
  print(): string;
}

export function serverMetrics(countItems: () => number): ServerMetrics {
  const started = Date.now() / 1000;
  const requests = new Map<string, number>();
  const bytes = new Map<string, number>();
  const seconds = new Map<string, number>();
  let running = 0;
  const add = (to: Map<string, number>, key: string, count: number) => void to.set(key, (to.get(key) ?? 0) + count);
  return {
    begun: () => {
      const begin = performance.now();
      running++;
      return (kind, status, sent) => {
        running--;
        add(requests, `kind="${kind}",status="${status}"`, 1);
        add(bytes, `kind="${kind}"`, sent);
        add(seconds, `kind="${kind}"`, (performance.now() - begin) / 1000);
      };
    },
    print: () =>
      [
        ...metric("meso_cache_requests_total", "counter", "Requests answered.", requests),
        ...metric("meso_cache_sent_bytes_total", "counter", "Bytes of bodies sent.", bytes),
        ...metric("meso_cache_request_seconds_total", "counter", "Time that answers took.", seconds),
        ...metric("meso_cache_requests_running", "gauge", "Requests being answered.", new Map([["", running]])),
        ...metric("meso_store_items", "gauge", "Items in the store.", new Map([["", countItems()]])),
        ...metric("process_start_time_seconds", "gauge", "Start, since 1970.", new Map([["", started]])),
        "",
      ].join("\n"),
  };
}

function metric(name: string, type: string, help: string, values: ReadonlyMap<string, number>): string[] {
  const lines = sortedBy(values, ([labels]) => labels).map(
    ([labels, value]) => `${name}${labels === "" ? "" : `{${labels}}`} ${value}`,
  );
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}
