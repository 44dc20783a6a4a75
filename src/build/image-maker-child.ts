// A child process of `startImageMakers`: makes one image after the other in the store, until its parent is gone.
import { assert } from "../base/error.ts";
import { openStore } from "../store/store.ts";
import { diskImage } from "./disk-image.ts";
import type { ImageJob, MakerSetup } from "./image-makers.ts";
import type { BuildSession } from "./session.ts";

let session: BuildSession | undefined;

process.on("disconnect", () => process.exit());
process.on("message", async (message: MakerSetup | ImageJob) => {
  if ("store" in message) {
    session = {
      store: openStore(message.store),
      lockFile: message.lockFile,
      report: () => {},
      signal: new AbortController().signal,
      stages: new Map(),
    };
    return;
  }
  assert(session, "the setup comes first");
  const { system, size } = message;
  // What fails is met again by the parent, which can tell a person of it.
  await diskImage(session, system, size === undefined ? {} : { size }).catch(() => {});
  process.send?.("tried");
});
