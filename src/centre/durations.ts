import type { Durations } from "./plan.ts";

/**
 * Seconds that steps take where nothing was measured yet: a KVM machine with a Debian system on Ceph. Shutdown and boot
 * are what systemd takes with few services; pool verbs as measured on a loopback cluster (rbd clone, rename, snapshot:
 * 60 to 190 ms each).
 */
export const usualDurations: Required<Durations> = {
  publish: 5,
  clone: 0.2,
  verify: 45,
  promote: 0.3,
  mark: 0.1,
  drain: 5,
  "power-off": 10,
  snapshot: 0.2,
  restore: 2,
  "create-volume": 0.3,
  define: 1,
  "attach-root": 1,
  "attach-volume": 1,
  "power-on": 2,
  check: 25,
  undrain: 1,
  confirm: 0.1,
  trim: 0.5,
};
