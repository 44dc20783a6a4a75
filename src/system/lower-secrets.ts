import { canonicalJson } from "../base/canonical.ts";
import type { Problem } from "../base/error.ts";
import type { Secret } from "../language/secret.ts";
import type { Received } from "../language/service-type.ts";
import type { CredentialWish } from "./essential-credentials.ts";

export interface LoweredSecrets {
  readonly byName: ReadonlyMap<string, Secret>;
  readonly problems: readonly Problem[];
}

/** The secrets of a system by name; one name that stands for two is a problem. */
export function lowerSecrets(wishes: readonly Received<CredentialWish>[]): LoweredSecrets {
  const first = new Map<string, Received<CredentialWish>>();
  const problems = wishes.flatMap((wish): Problem[] => {
    const { name, source } = wish.value.secret;
    const earlier = first.get(name);
    if (!earlier) first.set(name, wish);
    return earlier && canonicalJson(earlier.value.secret.source) !== canonicalJson(source)
      ? [twoSources(name, earlier, wish)]
      : [];
  });
  return { byName: new Map([...first].map(([name, { value }]) => [name, value.secret])), problems };
}

function twoSources(name: string, one: Received<CredentialWish>, other: Received<CredentialWish>): Problem {
  return {
    code: "two-sources",
    what: `the secret ${name} is at one place for ${one.origin.by}, at another for ${other.origin.by}`,
    ...(one.origin.where && { where: one.origin.where }),
    ...(other.origin.where && { also: other.origin.where }),
    hint: "make it one constant that both use",
  };
}
