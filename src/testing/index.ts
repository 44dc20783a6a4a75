/** What tests of machines import from `mesoforge/testing`. */

export type { GuestAgent, GuestCommandResult } from "../hypervisors/guest-agent.ts";
export type { SerialConsole } from "../hypervisors/serial-console.ts";
export type { TestMachine } from "./described-machine.ts";
export type { MachineSnapshot, MachineUnderTest, SshOptions } from "./machine-under-test.ts";
export { type StoryOptions, withMachines } from "./with-machines.ts";
