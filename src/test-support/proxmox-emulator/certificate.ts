import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  readonly key: string;
  readonly certificate: string;
  /** SHA-256, `AA:BB:…` */
  readonly fingerprint: string;
}

/** A fresh cluster's own CA, which nobody trusts, and a leaf for each node, as Proxmox makes them. */
export function clusterCertificates(nodes: readonly string[]): { readonly ca: string; readonly leaves: Certificate[] } {
  const folder = mkdtempSync(join(tmpdir(), "meso-pve-ca-"));
  try {
    const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
      "req",
      "-x509",
      ...curve,
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
      "-days",
      "2",
      "-subj",
      "/CN=PVE Cluster CA",
    );
    const leaves = nodes.map((node) => {
      writeFileSync(join(folder, "names"), `subjectAltName=DNS:${node},DNS:localhost,IP:127.0.0.1\n`);
      openssl("req", ...curve, "-keyout", `${node}.key`, "-out", `${node}.csr`, "-subj", `/CN=${node}`);
      const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"];
      openssl("x509", "-req", "-in", `${node}.csr`, ...signed, "-out", `${node}.pem`);
      const certificate = readFileSync(join(folder, `${node}.pem`), "utf8");
      const key = readFileSync(join(folder, `${node}.key`), "utf8");
      return { key, certificate, fingerprint: new X509Certificate(certificate).fingerprint256 };
    });
    return { ca: readFileSync(join(folder, "ca.pem"), "utf8"), leaves };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
