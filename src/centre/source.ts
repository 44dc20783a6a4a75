import type { Verdict } from "../pools/about.ts";
import type { ImageName } from "../pools/pool.ts";
import { candidateName, publishedName, rootName, stampOf, trialName } from "./image-names.ts";
import { type Look, nextStamp } from "./look.ts";
import type { OwnImage } from "./observe.ts";
import type { PlanContext } from "./plan-machine.ts";
import type { Act, TrialVolume } from "./steps.ts";

/** Where a new root comes from. */
export interface Source {
  /** Publish, clone, verify: as many of them as are not done yet. */
  readonly images: readonly Act[];
  readonly root: ImageName;
  /** Of the root. */
  readonly stamp: string;
  /** The root bears its name already: promoted ahead, or an older generation. */
  readonly isPromoted: boolean;
  readonly published?: ImageName;
}

/** The shortest way to a root with the system that the program says; or why there is none. */
export function sourceOf(context: PlanContext, look: Look): Source | { readonly blocked: readonly string[] } {
  const { machine, roots, published, candidate, current, open } = look;
  const { options } = context;
  const holdsSystem = ({ about, size }: OwnImage) =>
    about.system?.systemHash === machine.systemHash && size === machine.diskSize;
  const verdict = latestVerdict([...roots, ...published, ...(candidate ? [candidate] : [])].filter(holdsSystem));
  const mayFail = options.force !== undefined;
  if (verdict && !verdict.passed && !mayFail) {
    return {
      blocked: [
        `system ${machine.systemHash.slice(0, 12)} failed before: ${verdict.failed.join("; ") || "no reason was noted"}`,
        "change the program, or say --force",
      ],
    };
  }
  const ahead = open.findLast(({ root, intent }) => root !== current && !intent.isGoingBack && holdsSystem(root));
  if (ahead) return { images: [], root: ahead.root.name, stamp: ahead.root.about.stamp, isPromoted: true };
  const trial: Act[] = verdict?.passed || mayFail ? [] : [verifying(context, look)];
  const stamp = nextStamp(look, stampOf(options.now));
  const owner = { path: machine.path, ...(machine.id.vmid !== undefined && { vmid: machine.id.vmid }) };
  const known = published.filter(holdsSystem).at(-1);
  if (candidate && holdsSystem(candidate)) {
    const of = rootStamp(look, candidate.about.stamp, stamp);
    return {
      images: trial,
      root: rootName(owner, of),
      stamp: of,
      isPromoted: false,
      ...(known && { published: known.name }),
    };
  }
  const image = known?.name ?? publishedName(owner, stamp);
  const of = rootStamp(look, known?.about.stamp ?? stamp, stamp);
  return {
    images: [
      ...(known ? [] : [{ kind: "publish", image } as const]),
      { kind: "clone", image, candidate: candidateName(owner) },
      ...trial,
    ],
    root: rootName(owner, of),
    stamp: of,
    isPromoted: false,
    published: image,
  };
}

/** A root bears the stamp of its publication, unless the machine has had a later one: order of roots is order of swaps. */
function rootStamp({ roots }: Look, published: string, fresh: string): string {
  const isLater = roots.every(({ about }) => about.stamp < published);
  return isLater ? published : fresh;
}

/** Images of one system hold the same bytes: what was found out last about one of them holds for all. */
export function latestVerdict(images: readonly Pick<OwnImage, "about">[]): Verdict | undefined {
  return images
    .flatMap(({ about }) => about.verdict ?? [])
    .reduce<Verdict | undefined>((latest, verdict) => (latest && latest.at > verdict.at ? latest : verdict), undefined);
}

function verifying({ options }: PlanContext, { machine, volumes }: Look): Act {
  const owner = { path: machine.path, ...(machine.id.vmid !== undefined && { vmid: machine.id.vmid }) };
  const trials: TrialVolume[] = volumes.flatMap(({ wanted, found }) =>
    found
      ? [
          {
            name: wanted.name,
            volume: found.name,
            trial: trialName(owner, wanted.name),
            snapshot: `trial-${stampOf(options.now)}`,
          },
        ]
      : [],
  );
  return { kind: "verify", candidate: candidateName(owner), volumes: trials };
}
