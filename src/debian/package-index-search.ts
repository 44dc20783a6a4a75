import { compareBytes } from "../base/order.ts";

export interface SearchHit {
  readonly name: string;
  /** The highest version of the index. */
  readonly version: string;
  /** The first line of the description. */
  readonly synopsis: string;
}

/**
 * Lines `name TAB version TAB synopsis` whose name or synopsis holds every term, whatever the case: first the
 * name that is the term itself, then names that begin with the first term, names that hold it, the rest.
 */
export function searchDescriptions(descriptions: string, terms: readonly string[]): SearchHit[] {
  const wanted = terms.map((term) => term.toLowerCase()).filter((term) => term !== "");
  if (wanted.length === 0) return [];
  const hits: { rank: number; hit: SearchHit }[] = [];
  for (const line of descriptions.split("\n")) {
    const lower = line.toLowerCase();
    // The version between the two is no place to find a term in: looked at only for lines that may match.
    if (!wanted.every((term) => lower.includes(term))) continue;
    const [name, version, ...synopsis] = line.split("\t");
    const hit = { name: name!, version: version ?? "", synopsis: synopsis.join("\t") };
    const searched = `${hit.name}\t${hit.synopsis}`.toLowerCase();
    if (wanted.every((term) => searched.includes(term))) hits.push({ rank: rankOf(hit.name, wanted[0]!), hit });
  }
  return hits.sort((a, b) => a.rank - b.rank || compareBytes(a.hit.name, b.hit.name)).map(({ hit }) => hit);
}

function rankOf(name: string, term: string): number {
  const lower = name.toLowerCase();
  if (lower === term) return 0;
  if (lower.startsWith(term)) return 1;
  return lower.includes(term) ? 2 : 3;
}
