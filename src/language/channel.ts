import { aBoolean, aList, aString } from "./check.ts";
import type { RecordOf } from "./record.ts";
import { recordType } from "./record.ts";

interface ChannelFields {
  /** Code name or suite: `trixie`, `bookworm`, `sid`. */
  suite: string;
  components: readonly string[];
  /** With the `-updates` suite. Default: where Debian has one. */
  updates: boolean;
  /** With the security archive. Default: where Debian has one. */
  security: boolean;
}

export type Channel = RecordOf<ChannelFields, "suite">;

const aWordOfDebian = (what: string) => aString(what, (word) => /^[a-z0-9][a-z0-9+.-]*$/.test(word));

/** Where packages come from. */
export const channel = recordType<ChannelFields, "suite">({
  kind: "channel",
  defaults: ({ suite }) => {
    const isRolling = ["sid", "unstable", "experimental"].includes(suite);
    return { components: ["main"], updates: !isRolling, security: !isRolling };
  },
  fields: {
    suite: aWordOfDebian('a suite: "trixie"'),
    components: aList(aWordOfDebian('a component: "main"')),
    updates: aBoolean,
    security: aBoolean,
  },
});

export const trixie: Channel = channel({ suite: "trixie" });
export const bookworm: Channel = channel({ suite: "bookworm" });
