import type { Look } from "./look.ts";
import type { Observation } from "./observe.ts";

/** Why the machine's root is not ours to replace; undefined when it is, or when there is none. */
export function foreignReason(look: Look, observation: Observation): string | undefined {
  const { machine, state, attached, current, images } = look;
  if (!state || current) return undefined;
  if (!attached) {
    // A creation that was killed has left a promoted root: then the machine is ours.
    if (images.some(({ about }) => about.role === "root")) return undefined;
    return `a machine ${state.id.name} exists, and we have not made it`;
  }
  const image = observation.images.find(({ name }) => name === attached.image);
  if (!image) return `its ${machine.rootSlot} holds ${attached.volume}, which is not in the pool`;
  if (!image.about) return `its root ${image.name} is not ours`;
  const { centre, machine: path, role } = image.about;
  if (centre !== observation.centre || path !== machine.path) {
    return `its root ${image.name} belongs to ${path} of the centre ${centre}`;
  }
  return `its root ${image.name} is a ${role} image, which no machine should run`;
}

/** What a person has to mend before this machine can be changed; in words, each with what to do. */
export function obstacles(look: Look, observation: Observation): readonly string[] {
  return [...stateObstacles(look), ...noteObstacles(look), ...volumeObstacles(look, observation)];
}

function stateObstacles({ machine, state, attached, roots }: Look): string[] {
  if (!state) return [];
  const staged = Object.keys(state.staged);
  const elsewhere = Object.entries(state.slots).find(([, { image }]) => roots.some(({ name }) => name === image));
  return [
    ...(state.busy !== undefined ? [`it is busy: ${state.busy}`] : []),
    ...(state.power === "changing" ? ["the hypervisor is changing its power"] : []),
    ...(state.power === "paused" ? ["it is paused: resume it, or stop it"] : []),
    ...(staged.length > 0 ? [`changes of ${staged.join(", ")} wait for its next start: apply or revert them`] : []),
    ...(!attached && elsewhere
      ? [`its root is in ${elsewhere[0]}, the program says ${machine.rootSlot}: change rootSlot`]
      : []),
  ];
}

function noteObstacles({ unreadable }: Look): string[] {
  return unreadable.map(({ name }) => `what is noted on ${name} cannot be read: another version of this program?`);
}

function volumeObstacles({ volumes, state, machine }: Look, { images }: Observation): string[] {
  return volumes.flatMap(({ wanted, found }) => {
    if (found) return [];
    const other = images.find(({ name }) => name === wanted.image);
    if (other) {
      return [`${wanted.image} is in the pool and not this machine's volume ${wanted.name}: adopt or rename it`];
    }
    const attached = Object.entries(state?.slots ?? {}).find(
      ([slot, { volume, image }]) => slot !== machine.rootSlot && image === undefined && volume.includes(wanted.image),
    );
    return attached ? [`${attached[0]} holds ${attached[1].volume}, which the pool does not have`] : [];
  });
}

/** What is not in the way and should be known. */
export function remarks({ machine, state, images, volumes, current }: Look): readonly string[] {
  const undeclared = images.filter(
    ({ about }) => about.role === "volume" && machine.volumes.every(({ name }) => name !== about.volume),
  );
  return [
    ...undeclared.map(({ name, about }) => `volume ${about.volume ?? name} is no longer declared; it is left as it is`),
    ...volumes.flatMap(({ wanted, found }) =>
      found && found.size !== wanted.size
        ? [`volume ${wanted.name} has ${found.size} bytes, the program says ${wanted.size}: resized by hand only`]
        : [],
    ),
    ...(state && state.snapshots.length > 0
      ? [`snapshots of the machine pin its disks: ${state.snapshots.join(", ")}`]
      : []),
    ...(state?.managedBy === "ha" ? ["high availability manages it"] : []),
    ...(state && !state.hasAgent ? ["no guest agent is configured on the hypervisor: checks cannot run"] : []),
    ...(current && current.about.shape === undefined && current.about.intent === undefined
      ? ["cores, memory and nics are taken from the program at the next swap"]
      : []),
  ];
}
