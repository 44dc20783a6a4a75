import { failure } from "../base/error.ts";
import type { ImageName } from "./pool.ts";

/** Refuses what some pool would not take as the name of an image, snapshot or document. @throws MesoError `wrong-image-name`. */
export function checkName(name: ImageName): ImageName {
  if (isName(name)) return name;
  throw failure("wrong-image-name", `${JSON.stringify(name.slice(0, 250))} is no name for the pool`, {
    expected: "letters, digits, '.', '_' and '-', beginning with a letter or digit, 200 characters at most",
  });
}

export function isName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(name);
}
