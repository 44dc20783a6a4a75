import type { AddressInfo } from "node:net";
import { failure } from "../../base/error.ts";
import { compressions, parseCompression } from "../../store/compression.ts";
import { storeServer } from "../../store/serve.ts";
import { keyOption, secretKeyOf } from "../cache-options.ts";
import { type Command, exitCodes } from "../command.ts";
import { storeSession } from "../store-session.ts";

export const serve: Command = {
  positionals: "",
  minimumPositionals: 0,
  maximumPositionals: 0,
  options: {
    ...keyOption,
    listen: {
      type: "string",
      placeholder: "ADDRESS",
      description: "HOST:PORT or PORT (default: 127.0.0.1:8090); [::]:8090 for everybody",
    },
    compression: { type: "string", placeholder: "NAME", description: `${compressions.join(", ")} (default: zstd)` },
    priority: {
      type: "string",
      placeholder: "NUMBER",
      description: "for Nix's tools; less is preferred (default: 30)",
    },
  },
  examples: ["serve --key /etc/meso/cache.key --listen [::]:8090", "serve --compression none"],
  details:
    "Publishes the items of the store as a binary cache, until it is interrupted: meso caches add URL on other hosts, or\n" +
    "Nix's own tools, fetch from it. /metrics is for Prometheus. Items are packed when first asked for; what is packed is\n" +
    "collected when nobody asks for it any more.",
  run: async (context) => {
    const { store, items } = storeSession(context);
    const { listen, compression, priority } = context.options;
    const { host, port } = parseListen(typeof listen === "string" ? listen : "127.0.0.1:8090");
    const secretKey = secretKeyOf(context);
    const server = storeServer(store, items, {
      compression: parseCompression(typeof compression === "string" ? compression : "zstd"),
      priority: parsePriority(typeof priority === "string" ? priority : "30"),
      ...(secretKey !== undefined && { secretKey }),
      onError: (error) => context.report({ stage: "serve", text: (error as Error).message, seconds: 0 }),
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) =>
        reject(failure("cannot-listen", `${host}:${port} cannot be listened on: ${error.message}`)),
      );
      server.listen(port, host, resolve);
    });
    const { address, family, port: bound } = server.address() as AddressInfo;
    const url = `http://${family === "IPv6" ? `[${address}]` : address}:${bound}`;
    context.print(context.json ? JSON.stringify({ url }) : `serving ${store.directory} on ${url}`);
    await new Promise<void>((resolve) => {
      if (context.signal.aborted) resolve();
      context.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    server.close();
    server.closeAllConnections();
    return exitCodes.success;
  },
};

function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match && port < 65_536) return { host: match[1] ?? match[2] ?? "127.0.0.1", port };
  throw failure("usage", `found ${JSON.stringify(text)} for --listen`, { expected: "HOST:PORT, [IPV6]:PORT or PORT" });
}

function parsePriority(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw failure("usage", `found ${JSON.stringify(text)} for --priority`, { expected: "a number" });
}
