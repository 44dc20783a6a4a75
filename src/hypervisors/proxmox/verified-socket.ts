import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { failure, type MesoError } from "../../base/error.ts";

/** What a server must show before anything is sent to it; without both, what the host itself trusts. */
export interface AcceptedCertificates {
  /** SHA-256 of the leaf, `AA:BB:…` */
  readonly fingerprint?: string;
  /** PEM text of the cluster's CA: the only one trusted then. */
  readonly certificateAuthority?: string;
}

/** A fingerprint as Node and Proxmox print it. */
export function normalFingerprint(text: string): string {
  return text.trim().toUpperCase();
}

/**
 * A connection to a server whose certificate is the right one. `accepted` are fingerprints; undefined leaves the decision
 * to the CA. The socket is handed over only after the comparison, so that a wrong server never sees a token.
 *
 * @throws MesoError `untrusted-certificate`, `hypervisor-unreachable`: nothing was sent.
 */
export function verifiedSocket(options: {
  readonly host: string;
  readonly port: number;
  readonly accepted: ReadonlySet<string> | undefined;
  readonly certificateAuthority: string | undefined;
  readonly deadlineSeconds: number;
}): Promise<TLSSocket> {
  const { host, port, accepted, certificateAuthority } = options;
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host, port },
      ...(isIP(host) === 0 && { servername: host }),
      ...(certificateAuthority !== undefined && { ca: certificateAuthority }),
      // With a fingerprint the comparison below decides, before the socket is given to anybody.
      rejectUnauthorized: accepted === undefined,
      ALPNProtocols: ["http/1.1"],
    });
    const refuse = (error: MesoError) => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const place = `${host}:${port}`;
    const late = () =>
      refuse(failure("hypervisor-unreachable", `${place} did not answer within ${options.deadlineSeconds} s`));
    const timer = setTimeout(late, options.deadlineSeconds * 1000);
    socket.once("error", (error: NodeJS.ErrnoException) => refuse(explainConnection(place, error)));
    socket.once("secureConnect", () => {
      const shown = socket.getPeerCertificate().fingerprint256;
      if (accepted && !accepted.has(normalFingerprint(shown ?? ""))) return refuse(wrongCertificate(place, shown));
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}

function wrongCertificate(place: string, shown: string | undefined): MesoError {
  return failure("untrusted-certificate", `${place} shows the certificate ${shown ?? "(none)"}`, {
    expected: "the fingerprint that the program gives, or one that a verified node of the cluster told",
    hint: "compare with `pvenode cert info` on the node; nothing was sent to it",
  });
}

/** Codes of Node and OpenSSL for a certificate that is not accepted. */
const certificateCodes =
  /^(ERR_TLS_CERT_|CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_)|HOSTNAME_MISMATCH|INVALID_CA/;

function explainConnection(place: string, error: NodeJS.ErrnoException): MesoError {
  const reason = error.code ?? error.message;
  if (certificateCodes.test(reason)) {
    return failure("untrusted-certificate", `${place} shows a certificate that is not accepted: ${error.message}`, {
      hint: "give the cluster's CA (/etc/pve/pve-root-ca.pem) or the fingerprint of its certificate",
    });
  }
  return failure("hypervisor-unreachable", `${place} cannot be reached: ${error.message || reason}`);
}
