/** What programs import from `mesoforge`: the records, and the services of the core. */

export type { UserAccount, UserGroup } from "./language/account.ts";
export { userAccount, userGroup } from "./language/account.ts";
export { addressIn } from "./language/address-plan.ts";
export type { Bootloader, Grub } from "./language/bootloader.ts";
export { grub } from "./language/bootloader.ts";
export type { Centre, Group, Machine, Nic, Volume } from "./language/centre.ts";
export { centre, group, machine, nic, volume } from "./language/centre.ts";
export type { Channel } from "./language/channel.ts";
export { bookworm, channel, trixie } from "./language/channel.ts";
export type { Device, DevicePath, Label, Uuid } from "./language/device.ts";
export { devicePath, label, uuid } from "./language/device.ts";
export type { Endpoint, EndpointKind, Port } from "./language/endpoint.ts";
export { endpoint, port } from "./language/endpoint.ts";
export type { FileSystem, FileSystemType } from "./language/file-system.ts";
export { baseFileSystems, fileSystem } from "./language/file-system.ts";
export { inherit, pipe } from "./language/inherit.ts";
export type { DualAddress, HostEntry, HostInterface, Inventory } from "./language/inventory.ts";
export { inventory } from "./language/inventory.ts";
export type { Kernel } from "./language/kernel.ts";
export { cloudKernel, genericKernel, kernel } from "./language/kernel.ts";
export { modify, modifyServices, remove } from "./language/modify-services.ts";
export type { Host, NameResolution } from "./language/name-resolution.ts";
export { host, nameResolution } from "./language/name-resolution.ts";
export type { Network, NetworkRoute } from "./language/network.ts";
export { network } from "./language/network.ts";
export type { AcknowledgedScript, Architecture, Keyboard, OperatingSystem } from "./language/operating-system.ts";
export { basePackages } from "./language/operating-system.ts";
export type { PackageReference, PackageWish } from "./language/package-reference.ts";
export { debian } from "./language/package-reference.ts";
export type {
  CephPool,
  DirectoryPool,
  DrainHook,
  LibvirtHost,
  ProxmoxCluster,
  QemuHost,
} from "./language/places.ts";
export {
  balancerWeight,
  cephPool,
  directoryPool,
  drainCommands,
  libvirt,
  proxmox,
  qemu,
  slurmDrain,
} from "./language/places.ts";
export type { Secret, SecretPlace } from "./language/secret.ts";
export { secret } from "./language/secret.ts";
export type { Service, ServiceType } from "./language/service-type.ts";
export { extend, service, serviceType, simpleService } from "./language/service-type.ts";
export type { Content, GeneratedFile, PackageFile, Text } from "./language/text.ts";
export { bin, file, programFile, sbin, text, textFile } from "./language/text.ts";
export { accounts } from "./system/essential-accounts.ts";
export {
  activation,
  initrdModules,
  kernelArguments,
  kernelModules,
  modprobeOptions,
  sysctl,
  tmpfiles,
} from "./system/essential-boot.ts";
export type { ConfigurationCheck } from "./system/essential-configuration.ts";
export { configurationChecks } from "./system/essential-configuration.ts";
export type { CredentialWish, SecretFile } from "./system/essential-credentials.ts";
export { credentials, secretFile, secretFiles } from "./system/essential-credentials.ts";
export { directory, etcFile, etcFiles, symlink, systemFile, systemFiles } from "./system/essential-files.ts";
export { pam, sudoers } from "./system/essential-login.ts";
export { hosts, nameServiceSwitch } from "./system/essential-names.ts";
export {
  alternatives,
  checks,
  commandSucceeds,
  environment,
  portAnswers,
  profile,
  unitActive,
} from "./system/essential-profile.ts";
export { dropIn, enableUnit, maskUnit, systemdUnits, unit } from "./system/essential-units.ts";

import { basePackages, defineOperatingSystem } from "./language/operating-system.ts";
import { baseServices } from "./services/base-services.ts";

// The catalogue, which `mesoforge/services` gives by itself too.
export * from "./services/index.ts";
export { baseServices };

/** An operating system; only `hostName` and `fileSystems` have no default. */
export const operatingSystem = defineOperatingSystem({ packages: basePackages, services: baseServices });
