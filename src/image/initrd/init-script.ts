/**
 * `/init` of the initial RAM disk, for busybox's shell. It mounts what `root=` names and hands over to
 * `/sbin/init` there; a read-only EROFS root gets a volatile layer above it. Labels and UUIDs are read from
 * the superblocks by offset (ext4: kernel Documentation/filesystems/ext4/super.rst; EROFS: erofs_fs.h),
 * since busybox's own lookup knows no EROFS in Debian's build.
 */
export const initScript = String.raw`#!/bin/busybox sh
# Every applet by name, without links to each of them.
PATH=/bin:/sbin:/usr/bin:/usr/sbin
export PATH
bb=/bin/busybox

$bb mount -t proc -o nosuid,nodev,noexec proc /proc
$bb mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
$bb mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
$bb mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
exec 0</dev/console 1>/dev/console 2>&1

say() { echo "initrd: $*"; }

fail() {
  say "FAILED: $*"
  case " $($bb cat /proc/cmdline) " in
    *" meso.panic=reboot "*) $bb sleep 5; $bb reboot -f ;;
  esac
  say "a shell follows; 'exit' tries again, 'reboot -f' restarts"
  $bb setsid $bb cttyhack $bb sh
}

root= rootfstype=auto rootflags= mode=rw overlay=50% deadline=60 init=/sbin/init state= debug=
for argument in $($bb cat /proc/cmdline); do
  case "$argument" in
    root=*) root=\${argument#root=} ;;
    rootfstype=*) rootfstype=\${argument#rootfstype=} ;;
    rootflags=*) rootflags=\${argument#rootflags=} ;;
    ro) mode=ro ;;
    rw) mode=rw ;;
    init=*) init=\${argument#init=} ;;
    meso.overlay=*) overlay=\${argument#meso.overlay=} ;;
    meso.rootwait=*) deadline=\${argument#meso.rootwait=} ;;
    meso.state=*) state=\${argument#meso.state=} ;;
    meso.shell) debug=yes ;;
  esac
done

# Drivers of other machines refuse to load, each in its own words: told only where the root is not found.
while read -r module; do
  $bb insmod "$module" 2>>/run/insmod
done </etc/modules

# bytes DEVICE OFFSET LENGTH, as lower-case hexadecimal digits
bytes() { $bb dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | $bb xxd -p | $bb tr -d '\n'; }

# text DEVICE OFFSET LENGTH, up to the first zero byte
text() { $bb dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | $bb tr '\0' '\n' | $bb head -n 1; }

dashed() { echo "$1" | $bb sed 's/^\(.\{8\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)/\1-\2-\3-\4-/'; }

# identify DEVICE sets type, label, uuid
identify() {
  type= label= uuid=
  if [ "$(bytes "$1" 1080 2)" = 53ef ]; then
    type=ext4; uuid=$(dashed "$(bytes "$1" 1128 16)"); label=$(text "$1" 1144 16)
  elif [ "$(bytes "$1" 1024 4)" = e2e1f5e0 ]; then
    type=erofs; uuid=$(dashed "$(bytes "$1" 1072 16)"); label=$(text "$1" 1088 16)
  fi
}

# property BLOCK NAME: of the kernel's description, such as PARTNAME
property() { $bb sed -n "s/^$2=//p" "/sys/class/block/$1/uevent"; }

# guid BLOCK: the partition's own GUID, from the GPT of its disk (UEFI specification, 5.3.3)
guid() {
  [ -e "/sys/class/block/$1/partition" ] || return
  number=$($bb cat "/sys/class/block/$1/partition")
  disk=$($bb basename "$($bb dirname "$($bb readlink -f "/sys/class/block/$1")")")
  sector=$($bb cat "/sys/class/block/$disk/queue/logical_block_size")
  raw=$(bytes "/dev/$disk" $((2 * sector + (number - 1) * 128 + 16)) 16)
  echo "$raw" | $bb sed 's/^\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(....\)/\4\3\2\1-\6\5-\8\7-\9-/'
}

# Empty drives and unused loop devices are no candidates.
holds_data() { [ -b "/dev/$1" ] && [ "$($bb cat "/sys/class/block/$1/size")" != 0 ]; }

lower() { echo "$1" | $bb tr 'A-F' 'a-f'; }

# find_root sets device when what root= names is there
find_root() {
  device=
  case "$root" in
    LABEL=* | UUID=*)
      for block in $($bb ls /sys/class/block); do
        holds_data "$block" || continue
        identify "/dev/$block"
        [ -n "$type" ] || continue
        if [ "$root" = "LABEL=$label" ] || [ "$(lower "$root")" = "$(lower "UUID=$uuid")" ]; then
          device=/dev/$block; return 0
        fi
      done ;;
    PARTLABEL=*)
      for block in $($bb ls /sys/class/block); do
        [ "$root" = "PARTLABEL=$(property "$block" PARTNAME)" ] && device=/dev/$block && return 0
      done ;;
    PARTUUID=*)
      for block in $($bb ls /sys/class/block); do
        [ "$(lower "$root")" = "$(lower "PARTUUID=$(guid "$block")")" ] && device=/dev/$block && return 0
      done ;;
    /dev/*) [ -b "$root" ] && device=$root && return 0 ;;
  esac
  return 1
}

seen() {
  for block in $($bb ls /sys/class/block); do
    holds_data "$block" || continue
    identify "/dev/$block"
    say "  /dev/$block $(($($bb cat "/sys/class/block/$block/size") / 2048)) MiB type=\${type:-unknown} label=$label uuid=$uuid partlabel=$(property "$block" PARTNAME)"
  done
}

wait_for_root() {
  tries=0
  until find_root; do
    [ $tries -ge $((deadline * 5)) ] && return 1
    tries=$((tries + 1))
    $bb usleep 200000
  done
}

mount_root() {
  $bb mkdir -p /sysroot
  if [ "$rootfstype" = erofs ]; then
    $bb mkdir -p /run/meso/root /run/meso/volatile
    $bb mount -t erofs -o "ro\${rootflags:+,$rootflags}" "$device" /run/meso/root || return 1
    $bb mount -t tmpfs -o "mode=0755,size=$overlay" tmpfs /run/meso/volatile || return 1
    $bb mkdir -p /run/meso/volatile/upper /run/meso/volatile/work
    layers=lowerdir=/run/meso/root,upperdir=/run/meso/volatile/upper,workdir=/run/meso/volatile/work
    $bb mount -t overlay -o "$layers" overlay /sysroot
  else
    $bb mount -t "$rootfstype" -o "$mode\${rootflags:+,$rootflags}" "$device" /sysroot
  fi
}

# serial DISK: as the hypervisor has given it
serial() {
  if [ -r "/sys/block/$1/serial" ]; then
    $bb cat "/sys/block/$1/serial"
  else
    $bb dd if="/sys/block/$1/device/vpd_pg80" bs=1 skip=4 2>/dev/null
  fi | $bb tr -d '\0 \n'
}

find_state_disk() {
  for disk in $($bb ls /sys/block); do
    [ "$(serial "$disk")" = "$state" ] && return 0
  done
  return 1
}

# A machine with a state disk is who it was: its second MiB tells the machine-id (src/services/state-programs.ts).
keep_machine_id() {
  [ -n "$state" ] || return
  tries=0
  until find_state_disk; do
    [ $tries -ge 25 ] && return
    tries=$((tries + 1))
    $bb usleep 200000
  done
  id=$($bb dd if="/dev/$disk" bs=512 skip=2048 count=1 2>/dev/null | $bb tr -d '\0' |
    $bb sed -n '1{/^meso-state 1$/!q}; s/^machine-id \([0-9a-f]\{32\}\)$/\1/p')
  [ -n "$id" ] || return
  { echo "$id" >/sysroot/etc/machine-id; } 2>/dev/null && return
  echo "$id" >/run/machine-id
  $bb mount -o bind /run/machine-id /sysroot/etc/machine-id
}

while :; do
  if [ -n "$debug" ]; then
    debug=
    say "meso.shell was asked for; 'exit' goes on"
    $bb setsid $bb cttyhack $bb sh
  fi
  if [ -z "$root" ]; then
    fail "the kernel command line names no root file system (root=LABEL=..., UUID=, PARTUUID=, PARTLABEL=, /dev/...)"
    continue
  fi
  if ! wait_for_root; then
    say "modules that were not loaded:"
    $bb cat /run/insmod
    say "block devices seen:"
    seen
    fail "the root file system $root did not appear within $deadline s"
    continue
  fi
  if ! mount_root; then
    $bb umount /sysroot /run/meso/volatile /run/meso/root 2>/dev/null
    fail "$device ($root) cannot be mounted as $rootfstype"
    continue
  fi
  if [ ! -x "/sysroot$init" ] && [ ! -L "/sysroot$init" ]; then
    $bb umount /sysroot /run/meso/volatile /run/meso/root 2>/dev/null
    fail "$init is not on the root file system $root"
    continue
  fi
  break
done

keep_machine_id
$bb rm -f /run/insmod
for place in proc sys dev run; do
  $bb mkdir -p "/sysroot/$place" 2>/dev/null
  $bb mount -o move "/$place" "/sysroot/$place"
done
exec $bb switch_root /sysroot "$init"
`.replaceAll("\\${", "${");
