// A terminal on the serial line of a machine of plain QEMU: node qemu-host-console.ts FOLDER. Ctrl-] leaves.
import { argv, exit, stderr, stdin, stdout } from "node:process";
import { connectInFolder } from "./qemu-folder-socket.ts";
import { findProcess } from "./qemu-host-process.ts";
import { serialLogOf } from "./qemu-host-start.ts";
import { logEnd } from "./serial-log.ts";

/** Group separator: what telnet and virsh use to leave a console. */
const leaveKey = 0x1d;
/** Seconds to wait for another terminal to leave. */
const patience = 5;
const shownBytes = 4096;

const folder = argv[2] ?? "";
const isAlive = (): boolean => findProcess(folder) !== undefined;
const socket = await connectInFolder(folder, "serial", patience, isAlive);
if (!socket) {
  const why = isAlive() ? "another terminal is on its console" : "the machine is off";
  stderr.write(`${folder}: ${why}\n`);
  exit(1);
}
stdout.write(logEnd(serialLogOf(folder), shownBytes));
const leave = (): void => {
  if (stdin.isTTY) stdin.setRawMode(false);
  stdout.write("\n");
  exit(0);
};
if (stdin.isTTY) stdin.setRawMode(true);
stdin.on("data", (data: Buffer) => {
  if (data.includes(leaveKey)) leave();
  else socket.write(data);
});
// What is piped in is typed; the machine's answer is waited for until it is cut off.
socket.on("data", (data: Buffer) => stdout.write(data));
socket.on("error", leave);
socket.on("close", leave);
