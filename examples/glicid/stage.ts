// The one constant that says which of the sites is meant: change it, and every machine has its addresses, names and
// place there.

export type Stage = "test" | "alpha" | "beta" | "production";

export const stage: Stage = "test";
