import { sha256 } from "../../base/hash.ts";
import { sortedBy } from "../../base/order.ts";
import type { FileEntry } from "../../store/file-tree.ts";
import { type DraftTree, fileAt, generatedFile, generatedLink } from "../draft-tree.ts";
import type { Remember } from "./remember.ts";
import { subjectHash } from "./subject-hash.ts";

const shipped = "/usr/share/ca-certificates/";
const local = "/usr/local/share/ca-certificates/";
const folder = "/etc/ssl/certs";

/**
 * What update-ca-certificates(8) makes of the certificate authorities that packages ship and of those that the
 * person put below /usr/local/share/ca-certificates: the list of them, one bundle in byte order, a link for
 * each and, for OpenSSL, a link by the hash of its subject. Nothing without the package ca-certificates.
 */
export async function installCertificates(
  tree: DraftTree,
  readFile: (entry: FileEntry) => Uint8Array,
  remember: Remember,
): Promise<void> {
  if (!tree.has("/usr/sbin/update-ca-certificates")) return;
  const named = [...tree.keys()].filter((path) => path.endsWith(".crt") && fileAt(tree, path));
  const paths = sortedBy(named, (path) => path);
  const packaged = paths.filter((path) => path.startsWith(shipped));
  const chosen = [...packaged, ...paths.filter((path) => path.startsWith(local))];
  const placement = { origin: "ca-certificates" };
  const list = packaged.map((path) => `${path.slice(shipped.length)}\n`).join("");
  const configuration = "/etc/ca-certificates.conf";
  const written = tree.get(configuration)?.origin;
  // The package's script leaves only a header; what a service wrote there stays.
  if (written === undefined || written === "ca-certificates") tree.set(configuration, generatedFile(list, placement));
  const files = chosen.map((path) => ({ path, entry: fileAt(tree, path)! }));
  const identities = files.map(({ path, entry }) => [path, entry.size, identityOf(entry)]);
  const { bundle, links } = await remember(["certificates", identities], () => readCertificates(files, readFile));
  for (const [name, target] of links) tree.set(`${folder}/${name}`, generatedLink(target, placement));
  tree.set(`${folder}/ca-certificates.crt`, generatedFile(Buffer.from(bundle, "latin1"), placement));
}

/** The bundle (ISO 8859-1) and the links by name. */
function readCertificates(
  files: readonly { readonly path: string; readonly entry: FileEntry }[],
  readFile: (entry: FileEntry) => Uint8Array,
): { readonly bundle: string; readonly links: readonly (readonly [name: string, target: string])[] } {
  const links: [string, string][] = [];
  const used = new Map<string, number>();
  const texts = files.map(({ path, entry }) => {
    const pem = Buffer.from(readFile(entry)).toString("latin1");
    const link = `${linkName(path)}.pem`;
    const hash = subjectHash(pem, path);
    const count = used.get(hash) ?? 0;
    used.set(hash, count + 1);
    links.push([link, path], [`${hash}.${count}`, link]);
    return pem.endsWith("\n") ? pem : `${pem}\n`;
  });
  return { bundle: texts.join(""), links };
}

function identityOf({ content }: FileEntry): unknown {
  return content.kind === "bytes" ? sha256(content.bytes) : [content.segment, content.offset];
}

/** As update-ca-certificates names its links. */
function linkName(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1, -".crt".length);
  return name.replace(/[ ,]/g, "_").replace(/[()]/g, "=");
}
