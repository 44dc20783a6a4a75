import { failure } from "../base/error.ts";
import { machineId } from "../centre/desired.ts";
import { machineName } from "../language/centre.ts";
import { lowerSystem } from "../system/lower.ts";
import type { CentreAtHand } from "./centre-program.ts";

/** Where a machine's ssh answers, and for whom. */
export interface SshTarget {
  readonly user: string;
  readonly host: string;
  readonly port: number;
  /** Under which the client keeps the host's key: an address may belong to another machine tomorrow. */
  readonly alias: string;
}

/**
 * A forwarded port of this host where there is one, else an address that the machine's agent tells.
 *
 * @throws MesoError `no-address` when it has none, `agent-silent` when it cannot be asked.
 */
export async function sshTarget({ centre, hypervisor }: CentreAtHand, path: string): Promise<SshTarget> {
  const machine = centre.machines[path]!;
  const target = { user: loginName(lowerSystem(machine.os)), alias: `${centre.name}.${machineName(path)}` };
  const forwards = machine.nics.flatMap(({ forwards }) => Object.entries(forwards));
  const port = forwards.find(([, inside]) => inside === sshPort)?.[0];
  if (port !== undefined) return { ...target, host: "127.0.0.1", port: Number(port) };
  const agent = hypervisor.agent(machineId(path, machine));
  const { stdout } = await agent.exec(["/usr/sbin/ip", "-json", "address", "show", "scope", "global"], {
    deadline: 10,
  });
  const host = firstAddress(stdout);
  if (host === undefined) throw failure("no-address", `${path} has no address that could be reached`);
  return { ...target, host, port: sshPort };
}

/** @param knownHosts file of the centre's host keys: of another copy of the centre, machines of its name have others. */
export function sshCommand({ user, host, port, alias }: SshTarget, knownHosts: string): string[] {
  const file = `UserKnownHostsFile="${knownHosts}"`;
  const options = ["-o", `HostKeyAlias=${alias}`, "-o", file, "-o", "StrictHostKeyChecking=accept-new"];
  return ["ssh", ...(port === sshPort ? [] : ["-p", String(port)]), ...options, `${user}@${host}`];
}

const sshPort = 22;

/** The first person who has an account; root where nobody has. */
function loginName({ users }: ReturnType<typeof lowerSystem>): string {
  return users.find(({ system }) => !system)?.name ?? "root";
}

/** Of what `ip -json address` prints; nothing where it is not what was expected. */
function firstAddress(text: string): string | undefined {
  try {
    const links = JSON.parse(text) as readonly { readonly addr_info?: readonly { readonly local?: unknown }[] }[];
    const addresses = links.flatMap(({ addr_info = [] }) => addr_info.map(({ local }) => local));
    return addresses.find((address): address is string => typeof address === "string" && /^[0-9a-f.:]+$/.test(address));
  } catch {
    return undefined;
  }
}
