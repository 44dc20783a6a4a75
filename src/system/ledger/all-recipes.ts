import type { Recipe } from "./recipe.ts";
import { apacheRecipes } from "./recipes/apache.ts";
import { baseRecipes } from "./recipes/base.ts";
import { clusterRecipes } from "./recipes/cluster.ts";
import { daemonRecipes } from "./recipes/daemon.ts";
import { databaseRecipes } from "./recipes/database.ts";
import { directoryRecipes } from "./recipes/directory.ts";
import { editorRecipes } from "./recipes/editor.ts";
import { loginRecipes } from "./recipes/login.ts";
import { machineRecipes } from "./recipes/machine.ts";
import { mailRecipes } from "./recipes/mail.ts";
import { networkRecipes } from "./recipes/network.ts";
import { placeRecipes } from "./recipes/place.ts";
import { pythonRecipes } from "./recipes/python.ts";
import { storageRecipes } from "./recipes/storage.ts";
import { virtualizationRecipes } from "./recipes/virtualization.ts";
import { webRecipes } from "./recipes/web.ts";

const allRecipes: readonly Recipe[] = [
  ...baseRecipes,
  ...clusterRecipes,
  ...loginRecipes,
  ...networkRecipes,
  ...placeRecipes,
  ...pythonRecipes,
  ...storageRecipes,
  ...apacheRecipes,
  ...daemonRecipes,
  ...databaseRecipes,
  ...directoryRecipes,
  ...editorRecipes,
  ...machineRecipes,
  ...mailRecipes,
  ...virtualizationRecipes,
  ...webRecipes,
];

/** Recipes for a package by its name. */
export function recipesFor(name: string): readonly Recipe[] {
  return allRecipes.filter((recipe) =>
    recipe.package.endsWith("*") ? name.startsWith(recipe.package.slice(0, -1)) : recipe.package === name,
  );
}
