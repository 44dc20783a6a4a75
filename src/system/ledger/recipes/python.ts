import type { Recipe } from "../recipe.ts";

/** Python: byte-compiled files are a cache that Python makes or does without. */
export const pythonRecipes: readonly Recipe[] = [
  {
    package: "python3",
    residues: [
      "c1e4ebb6ae9783ee6aeb5d34391e302fa96ae1dc476c30449725a5f7b6e07500",
      "cac2d32bbca5b6f9cbd7ee9113bde5003f5a47fa08c608196be37db3b6ab31c6",
    ],
    why: "byte-compiles for a new default version of Python",
  },
  {
    package: "python3.*",
    residues: [
      "44762df53483d6fec05a7190b2c5b00642938b1f62ceb1e4a0fdc8cb29890e79",
      "4c2b747b8dcefd2259ba50e99917bcb81f2efd869013a811f0a81669d5ba4105",
    ],
    why: "byte-compiles the standard library",
  },
  {
    package: "python3-*",
    residues: ["44762df53483d6fec05a7190b2c5b00642938b1f62ceb1e4a0fdc8cb29890e79"],
    why: "byte-compiles parts of the standard library",
  },
];
