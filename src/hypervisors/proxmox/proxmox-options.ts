import type { AcceptedCertificates } from "./verified-socket.ts";

/** How a cluster of Proxmox VE is reached. Any node answers for all. */
export interface ProxmoxOptions extends AcceptedCertificates {
  /** `https://node:8006`; tried in turn. */
  readonly urls: readonly string[];
  /** `USER@REALM!TOKENID=UUID`; part of no message. */
  readonly token: string;
  /** Changes at once on one node. */
  readonly parallelPerNode: number;
  /** Hears the lines that tasks of Proxmox log. */
  readonly report?: (line: string) => void;
  /** Default: 0.1 and 2 s. Pauses between looks at a task or machine grow from the first to the second. */
  readonly pauses?: { readonly first: number; readonly longest: number };
}
