import type { Effects } from "../effects.ts";
import type { ScriptedPackage } from "../examine-scripts.ts";
import type { Recipe } from "../recipe.ts";

/** Web servers. */
export const webRecipes: readonly Recipe[] = [
  {
    package: "libnginx-mod-*",
    residues: ["d85227509187d3be90683b3723a3831563750639bbe700e30c4c5703c6cf2b38"],
    why: "enables the module by a link",
    gives: enabledNginxModules,
  },
];

function enabledNginxModules(debian: ScriptedPackage): Effects {
  const shipped = debian.entries.map(
    ({ path }) => /^\/usr\/share\/nginx\/modules-available\/(.+\.conf)$/.exec(path)?.[1],
  );
  const names = shipped.filter((name) => name !== undefined);
  return {
    links: names.map((name) => ({
      path: `/etc/nginx/modules-enabled/50-${name}`,
      target: `/usr/share/nginx/modules-available/${name}`,
    })),
  };
}
