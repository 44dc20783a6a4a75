import type { Problem } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import { recordProblems } from "../language/check.ts";
import type { Complaint } from "../language/complaint.ts";
import type { FileSystem } from "../language/file-system.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { describe, factsOf, fieldLocation, locationOf } from "../language/record.ts";
import type { Service } from "../language/service-type.ts";

/** Mistakes in the record itself, in those it holds and in the options of its services. */
export function recordMistakes(os: OperatingSystem): Problem[] {
  return [...recordProblems(os), ...(Array.isArray(os.services) ? os.services.flatMap(optionProblems) : [])];
}

/** Whether values have the wrong shape, so that going on would only report what follows from it. */
export function isShapeBroken(problems: readonly Problem[]): boolean {
  return problems.some(({ code }) => code === "wrong-type" || code === "missing-field");
}

/** Mistakes between file systems: no root, one mount point twice. */
export function fileSystemProblems(os: OperatingSystem): Problem[] {
  const first = new Map<string, { fileSystem: FileSystem; index: number }>();
  const problems: Problem[] = [];
  os.fileSystems.forEach((fileSystem, index) => {
    const earlier = first.get(fileSystem.mountPoint);
    if (earlier) problems.push(duplicateMountPoint(fileSystem, index, earlier));
    else first.set(fileSystem.mountPoint, { fileSystem, index });
  });
  if (!first.has("/")) {
    const where = fieldLocation(os, "fileSystems");
    problems.push({
      code: "missing-root",
      what: 'no file system is mounted on "/"',
      field: "fileSystems",
      ...(where && { where }),
      hint: 'add fileSystem({ device: label("my-root"), mountPoint: "/", type: "ext4" })',
    });
  }
  return problems;
}

function duplicateMountPoint(
  fileSystem: FileSystem,
  index: number,
  earlier: { fileSystem: FileSystem; index: number },
): Problem {
  const where = locationOf(fileSystem);
  const also = locationOf(earlier.fileSystem);
  return {
    code: "duplicate-mount-point",
    what: `${fileSystem.mountPoint} is also the mount point of fileSystems[${earlier.index}]`,
    field: `fileSystems[${index}].mountPoint`,
    ...(where && { where }),
    ...(also && { also }),
    hint: "give one of them another mount point, or take it away",
  };
}

function optionProblems(service: Service): Problem[] {
  const about = factsOf(service);
  if (about?.kind !== "service") return [];
  const { type, options } = service;
  const where = about.where ? { where: about.where } : {};
  const documented = Object.keys(type.options);
  const unknown = Object.keys(about.given)
    .filter((option) => !documented.includes(option))
    .map((option) => ({
      code: "unknown-option",
      what: `${type.name} has no option ${describe(option)}`,
      field: `${service.name}.${option}`,
      ...where,
      ...(documented.length > 0 && { expected: `one of ${documented.join(", ")}` }),
      ...nearestHint(option, documented),
    }));
  const missing = documented
    .filter((option) => !Object.hasOwn(options, option))
    .map((option) => ({
      code: "missing-field",
      what: "is missing",
      field: `${service.name}.${option}`,
      ...where,
      expected: type.options[option]!,
    }));
  if (missing.length > 0) return [...unknown, ...missing];
  const complaints = complaintsOf(service).map((complaint) => ({
    ...complaint,
    field: `${service.name}${complaint.field ? `.${complaint.field.replace(/^\./, "")}` : ""}`,
    ...where,
  }));
  return [...unknown, ...complaints];
}

/** What its type says of its options, whose types a program that nobody has checked may not have kept. */
function complaintsOf({ type, options }: Service): readonly Complaint[] {
  try {
    return type.validate?.(options) ?? [];
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const expected = Object.entries(type.options).map(([option, meaning]) => `${option}: ${meaning}`);
    const hint = "an editor, or tsc --noEmit, shows which one";
    return [
      {
        code: "wrong-type",
        what: `an option has the wrong type (${error.message})`,
        expected: expected.join(" "),
        hint,
      },
    ];
  }
}
