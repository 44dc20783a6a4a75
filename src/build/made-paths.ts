/** A path of a composed system that is not as its packages' archives have it. */
export interface MadePath {
  readonly path: string;
  /** `absent`: an archive has it, the system does not. */
  readonly kind: "file" | "directory" | "symlink" | "hardlink" | "absent";
  /** Of links. */
  readonly target?: string;
  /** A package, a service, or the step that made it: `ldconfig`. Empty for what is absent. */
  readonly origin: string;
}
