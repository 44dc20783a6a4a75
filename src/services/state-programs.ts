import { programFile } from "../language/text.ts";

/**
 * Makes one logical volume of the state disk ready to be mounted. The disk's second MiB, LVM's bootloader area, begins with
 * a record of ours: `meso-state 1`, then `machine-id ID`, which the initial RAM disk reads (src/image/initrd/init-script.ts).
 *
 * The record is written first, on a disk that holds nothing, so that who is killed before there is a volume group goes on;
 * a volume bears the tag `meso.unformatted` from the moment it exists until its file system does.
 */
export const prepareVolume = programFile(
  "prepare-state-volume",
  String.raw`#!/bin/sh
# SERIAL NAME BYTES TYPE: the volume NAME on the disk with this serial, made when the disk is blank, grown when it is
# declared larger. What holds anything is never formatted.
set -eu
serial=$1 name=$2 bytes=$3 type=$4
group=meso-$serial
volume=$group/$name
disk=

tell() {
  echo "$1" >&2
  { echo "meso: $1" > /dev/console; } 2>/dev/null || :
}
refuse() {
  tell "$1"
  exit 1
}
# This disk, and no other: what else the machine has is not looked at.
on_disk() {
  verb=$1
  shift
  lvm "$verb" --devices "$disk" --config 'backup{backup=0 archive=0} activation{monitoring=0}' "$@"
}

find_disk() {
  for block in /sys/block/*; do
    if [ -r "$block/serial" ]; then
      found=$(tr -d '\0 \n' < "$block/serial")
    elif [ -r "$block/device/vpd_pg80" ]; then
      found=$(tail -c +5 "$block/device/vpd_pg80" | tr -d '\0 \n')
    else
      continue
    fi
    [ "$found" = "$serial" ] || continue
    disk=/dev/$(basename "$block")
    return 0
  done
  return 1
}
tries=0
until find_disk; do
  tries=$((tries + 1))
  [ "$tries" -le 20 ] || refuse "the state disk $serial is missing: what needs it does not start"
  sleep 1
done

mebibyte=1048576
write_record() {
  dd of="$disk" bs=512 seek=2048 conv=notrunc,sync,fsync status=none
}
# OFFSET LENGTH: whether there are only zeros
zeros() {
  cmp -s -n "$2" -i "$1:0" "$disk" /dev/zero
}
is_blank() {
  [ -z "$signatures" ] && [ -z "$(ls -d /sys/block/"$(basename "$disk")"/*/partition 2>/dev/null)" ] &&
    zeros 0 $((2 * mebibyte)) && zeros $(($(blockdev --getsize64 "$disk") - mebibyte)) $mebibyte
}
# Ours, and killed before there was a volume group.
is_begun() {
  case "$record" in "meso-state 1"*) ;; *) return 1 ;; esac
  case "$owner" in "" | /*) ;; *) return 1 ;; esac
  [ -z "$signatures" ] || [ "$signatures" = LVM2_member ]
}

modprobe -q dm_mod || :
record=$(dd if="$disk" bs=512 skip=2048 count=1 status=none | tr -d '\0')
signatures=$(wipefs --no-act --noheadings --output TYPE "$disk" | sort -u | tr '\n' ' ' | sed 's/ *$//')
owner=$(on_disk pvs --noheadings --separator / --units b --nosuffix --options vg_name,vg_tags,pv_ba_start "$disk" 2>/dev/null | tr -d ' ')
case "$owner" in
"$group/"*meso.state*/$mebibyte) ;;
*)
  if is_blank; then
    printf 'meso-state 1\n' | write_record
  elif ! is_begun; then
    refuse "the disk $serial ($disk) holds \${signatures:-data} and was not made by this system: it is left alone, and what needs it does not start"
  fi
  on_disk pvcreate --yes --force --force --bootloaderareasize 1m --dataalignment 1m "$disk"
  on_disk vgcreate --setautoactivation n --addtag meso.state "$group" "$disk"
  record="meso-state 1"
  ;;
esac

id=$(cat /etc/machine-id)
case "$record" in
*"machine-id $id"*) ;;
*"machine-id "*) tell "this boot began without the state disk $serial: its machine-id is not the one that is kept there" ;;
*) printf 'meso-state 1\nmachine-id %s\n' "$id" | write_record ;;
esac

facts=$(on_disk lvs --noheadings --separator / --units b --nosuffix --options lv_size,lv_tags "$volume" 2>/dev/null | tr -d ' ')
if [ -z "$facts" ]; then
  on_disk pvresize "$disk" || :
  on_disk lvcreate --yes --wipesignatures y --zero y --name "$name" --size "\${bytes}b" --addtag meso.unformatted "$group" ||
    refuse "there is no room for the volume $name of $((bytes / mebibyte)) MiB on the state disk $serial"
  facts=$bytes/meso.unformatted
fi
size=\${facts%%/*}
if [ "$size" -lt "$bytes" ]; then
  on_disk pvresize "$disk" || :
  on_disk lvextend --size "\${bytes}b" "$volume" ||
    tell "there is no room for the volume $name to grow to $((bytes / mebibyte)) MiB on the state disk $serial"
elif [ "$size" -gt "$bytes" ]; then
  tell "the volume $name of the state disk $serial has $((size / mebibyte)) MiB, and $((bytes / mebibyte)) are declared: it stays as it is, since nothing is ever shrunk"
fi
on_disk lvchange --activate y "$volume"

case "$facts" in
*meso.unformatted*)
  tell "formatting the volume $name of the state disk $serial"
  case "$type" in
  ext4) mkfs.ext4 -q -F "/dev/$volume" ;;
  xfs) mkfs.xfs -q -f "/dev/$volume" ;;
  esac
  blockdev --flushbufs "/dev/$volume"
  on_disk lvchange --deltag meso.unformatted "$volume"
  ;;
*)
  found=$(blkid --probe --output value --match-tag TYPE "/dev/$volume" || :)
  [ "$found" = "$type" ] ||
    refuse "the volume $name of the state disk $serial holds \${found:-no file system}, and $type is declared: it is left alone"
  ;;
esac
[ "$type" != ext4 ] || e2fsck -p "/dev/$volume" || [ $? -lt 4 ] ||
  refuse "the volume $name of the state disk $serial needs e2fsck by hand: what needs it does not start"
mkdir -p /run/meso/state
ln -sfn "/dev/$volume" "/run/meso/state/$name"
`.replaceAll("\\${", "${"),
);

/** Grows the file system of a mounted volume to its size, and makes the folders that it keeps for services. */
export const openVolume = programFile(
  "open-state-volume",
  String.raw`#!/bin/sh
# DEVICE TYPE MOUNTPOINT [FOLDER]...: what the image has in a folder is what the kept one begins with.
set -eu
device=$1 type=$2 mount=$3
shift 3
case "$type" in
ext4) resize2fs "$device" ;;
xfs) xfs_growfs "$mount" ;;
esac
for folder; do
  kept=$mount/folders$folder
  [ ! -d "$kept" ] || continue
  parent=\${kept%/*}
  aside=$parent/.\${kept##*/}.new
  mkdir -p "$parent"
  rm -rf "$aside"
  if [ -d "$folder" ]; then cp -a "$folder" "$aside"; else mkdir "$aside"; fi
  sync -f "$mount"
  mv "$aside" "$kept"
done
`.replaceAll("\\${", "${"),
);
