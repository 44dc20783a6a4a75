import { onceForEach } from "../base/once-for-each.ts";
import { type OpenChannel, offeredSuites, openChannel, openSuites, packagesTexts } from "../build/channel.ts";
import { hostArchitecture } from "../build/host-architecture.ts";
import { type BuildSession, stage } from "../build/session.ts";
import { sourceDigest } from "../build/source-digest.ts";
import type { ChannelRequest } from "../debian/indices.ts";
import type { PackageIndex } from "../debian/package-index.ts";
import { type SourceOffer, type SourceOffers, sourceVersions } from "../debian/source-versions.ts";
import type { SystemDescription } from "./system-description.ts";

/** What a channel has, at one moment. */
export interface ChannelOffer {
  readonly suites: readonly { readonly suite: string; readonly date: string }[];
  readonly sources: SourceOffers;
  readonly index: PackageIndex;
}

/** What the channel of a system has. */
export type OfferFor = (system: SystemDescription) => Promise<ChannelOffer>;

/**
 * Offers of the channels as the lock pins them (`pinned`), or as the mirrors have them now (`now`): verified and fetched
 * as by a pull, which leaves the lock as it is.
 */
export function channelOffers(session: BuildSession, when: "pinned" | "now"): OfferFor {
  const offerOf = onceForEach(async (request: ChannelRequest): Promise<ChannelOffer> => {
    const channel =
      when === "pinned"
        ? await openChannel(session, request)
        : openSuites(session, await offeredSuites(session, request));
    const [sources, index] = await Promise.all([sourcesOf(session, channel), channel.index()]);
    return { suites: channel.suites.map(({ suite, date }) => ({ suite, date })), sources, index };
  });
  return ({ channel, architecture }) => {
    const { suite, components, updates, security } = channel;
    const architectures = [...new Set([architecture, hostArchitecture()])].sort();
    return offerOf({ suite, components, updates, security, architectures });
  };
}

/** Remembered in the store: reading all descriptions takes a second. */
async function sourcesOf(session: BuildSession, { identity, suites }: OpenChannel): Promise<SourceOffers> {
  const entries = await stage(session, "sources", () =>
    session.store.cached(
      `sources ${sourceDigest()} ${identity}`,
      async (): Promise<[string, readonly SourceOffer[]][]> => [
        ...(await sourceVersions(packagesTexts(suites, session.store.directory))),
      ],
    ),
  );
  return new Map(entries);
}
