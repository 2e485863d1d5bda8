#!/bin/sh
# Makes a guest: a virtual machine with Debian's cloud kernel, in which a Docker Engine runs and the lab image is loaded,
# saved as a snapshot that is restored in seconds. Prints its folder. Without a network card, without KVM, without
# root: QEMU translates the instructions, so it works inside virtual machines and in CI.
#
#     sh tests/beds/guest/build.sh [--engine FOLDER]     FOLDER as newest-engine.sh prints it; else the installed one
#
# It is for what this machine's kernel may lack: ipvlan, 802.1Q, dummy links, netem, VXLAN, IPVS. Use it through
# `run-in-guest.sh`. Where it cannot be had it prints `skipped: REASON` and exits with 77.
#
# The folder is in the cache folder under a hash of all that goes in, so that it is made once and made again when
# a part changes:
#     kernel  initramfs  root.img  saved.qcow2 (with the snapshot `ready`)  boot.log
# The kernel is unpacked from its package, never installed.
set -eu

skip() { printf 'skipped: %s\n' "$*"; exit 77; }
fail() { printf 'guest: %s\n' "$*" >&2; exit 1; }
say() { printf 'guest: %s\n' "$*" >&2; }

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/stack
PATH=$PATH:/usr/sbin:/sbin
engine=
if [ "${1:-}" = --engine ]; then
    engine=$2
fi

. "$here/machine.sh"
[ "$(uname -m)" = x86_64 ] || skip "the guest is made for x86_64 only"
for command in qemu-system-x86_64 qemu-img mke2fs flock cpio depmod python3 dockerd busybox tc; do
    command -v "$command" >/dev/null || skip "no $command; run tests/setup.sh guest"
done
mkdir -p "$cache"

# --- The kernel ------------------------------------------------------------------------------------------------------

# The package that the machine's sources offer; where they offer none, the newest that an earlier run has unpacked.
package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
    sed -n 's/.*Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1)
if [ -z "$package" ]; then
    package=$(cd "$cache" && ls -d linux-image-*-cloud-amd64 2>/dev/null | sort -V | tail -n 1)
    [ -n "$package" ] || skip "the machine's package sources offer no linux-image-cloud-amd64"
fi
release=${package#linux-image-}
if [ ! -d "$cache/$package" ]; then
    say "fetching $package"
    work=$(mktemp -d "$cache/.kernel.XXXXXX")
    chmod 755 "$work"
    if ! (cd "$work" && apt-get -q download "$package" >log 2>&1); then
        reason=$(tail -n 1 "$work/log")
        rm -rf "$work"
        skip "cannot download $package: $reason"
    fi
    dpkg -x "$work"/*.deb "$work/tree"
    [ -d "$work/tree/lib/modules" ] || ln -s usr/lib "$work/tree/lib"
    depmod -b "$work/tree" "$release"
    mv "$work/tree" "$cache/$package"
    rm -rf "$work"
fi
kernel=$cache/$package

# --- What goes in, and whether it is there already -----------------------------------------------------------------

[ -z "$engine" ] || PATH=$engine/usr/sbin:$engine/usr/bin:$PATH
image=$(mktemp)
trap 'rm -f "$image"' EXIT
trap 'exit 130' INT TERM
sh "$here/../../../examples/image.sh" --tar "$image"
hash=$(
    {
        cat "$here/build.sh" "$here/first-init" "$here/second-init" "$here/machine.sh" "$image"
        echo "$package"
        qemu-system-x86_64 --version
        dockerd --version
        containerd --version
        runc --version
        uname -m
    } | sha256sum | cut -c1-12
)
guest=$cache/guest-$hash
# One builder at a time; the second finds what the first has made.
exec 9>"$cache/.guest.lock"
flock 9
if [ -e "$guest/saved.qcow2" ]; then
    touch "$guest"
    echo "$guest"
    exit 0
fi

say "making $guest (half a minute)"
work=$(mktemp -d "$cache/.guest.XXXXXX")
qemu=
cleanup() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$work" "$image"
}
trap cleanup EXIT

# --- The root file system ------------------------------------------------------------------------------------------

root=$work/root
mkdir -p "$root"
(
    cd "$root"
    mkdir -p bin sbin usr/bin usr/sbin usr/local etc/docker lib lib64 proc sys dev run tmp root t mnt \
        var/lib/docker var/lib/containerd var/lib/stack var/tmp etc/ssl/certs
    ln -s ../run var/run
)
# add PROGRAM…: copies programs and the libraries they name.
add() {
    for program in "$@"; do
        path=$(command -v "$program") || fail "no $program on this machine"
        path=$(readlink -f "$path")
        cp "$path" "$root/usr/sbin/$program"
        { ldd "$path" 2>/dev/null || true; } | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/lib[^ ]*\).*/\1/p' |
            while read -r library; do
                mkdir -p "$root$(dirname "$library")"
                [ -e "$root$library" ] || cp -L "$library" "$root$library"
            done
    done
}
add dockerd docker-proxy containerd containerd-shim-runc-v2 runc docker ip bridge tc modprobe curl bash nsenter \
    setsid xtables-legacy-multi jq
docker_init=$(command -v docker-init || command -v tini-static || command -v tini) && cp -L "$docker_init" "$root/usr/sbin/docker-init"
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -s xtables-legacy-multi "$root/usr/sbin/$name"
done
for folder in /usr/lib/*/xtables; do
    mkdir -p "$root$folder"
    cp "$folder"/*.so "$root$folder/"
done
# Rust programs need this one beside the C library.
library=$(ldconfig -p | sed -n 's/.*libgcc_s.so.1 (libc6,x86-64) => //p' | head -n 1)
mkdir -p "$root$(dirname "$library")"
cp -L "$library" "$root$library"
cp -L "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do
    [ -e "$root/usr/sbin/$applet" ] || [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
ln -s ../usr/sbin/bash "$root/bin/bash"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
printf '127.0.0.1 localhost guest\n::1 localhost\n' >"$root/etc/hosts"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
printf 'nameserver 127.0.0.1\n' >"$root/etc/resolv.conf"
cp "$image" "$root/image.tar"
cp "$here/second-init" "$root/init2"
chmod 755 "$root/init2"

# Modules: those that second-init loads, those that a test may ask for, and what they stand on.
modules=$(sed -n 's/^# modules: //p' "$here/second-init")
# shellcheck disable=SC2086
for module in $modules; do
    modprobe -d "$kernel" -S "$release" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | sort -u | while read -r file; do
    mkdir -p "$root$(dirname "${file#"$kernel"}")"
    cp "$file" "$root${file#"$kernel"}"
done
cp "$kernel/lib/modules/$release/modules.order" "$kernel/lib/modules/$release/modules.builtin" \
    "$kernel/lib/modules/$release/modules.builtin.modinfo" "$root/lib/modules/$release/"
depmod -b "$root" "$release"

truncate -s 480M "$work/root.img"
mke2fs -q -F -t ext4 -O ^has_journal -E root_owner=0:0 -d "$root" "$work/root.img" 480M

# --- The first file system: finds the disk, and goes on there ------------------------------------------------------

first=$work/first
mkdir -p "$first/bin" "$first/modules" "$first/dev" "$first/proc" "$first/root"
cp -L "$(command -v busybox)" "$first/bin/busybox"
cp "$here/first-init" "$first/init"
chmod 755 "$first/init"
number=100
for module in virtio_pci virtio_mmio virtio_blk ext4; do
    modprobe -d "$kernel" -S "$release" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r file; do
    cp "$file" "$first/modules/$number-$(basename "$file")"
    number=$((number + 1))
done
(cd "$first" && find . | cpio -o -H newc --quiet --owner 0:0) >"$work/initramfs"
cp "$kernel/boot/vmlinuz-$release" "$work/kernel"
rm -rf "$root" "$first"

# --- Boot it and save it -------------------------------------------------------------------------------------------

# The disk names its backing file by its final place, so the folder gets its final name first; until the snapshot is
# in it, it does not count as made.
rm -rf "$guest"
mv "$work" "$guest"
work=$guest
cd "$guest"
. "$here/machine.sh"
truncate -s "$machine_files_size" files
mkfifo input
boot() {
    rm -f saving.qcow2 monitor
    qemu-img create -q -f qcow2 -b "$guest/root.img" -F raw saving.qcow2
    # shellcheck disable=SC2086
    qemu-system-x86_64 $machine_arguments -kernel kernel -initrd initramfs -append "$machine_kernel_arguments" \
        -drive file=saving.qcow2,if=virtio,format=qcow2 -drive file=files,if=virtio,format=raw,readonly=on \
        -serial stdio -serial null -monitor unix:monitor,server=on,wait=off <>input >boot.log 2>&1 &
    qemu=$!
}
boot
boots=1
tries=0
until grep -q '^READY' boot.log; do
    tries=$((tries + 1))
    kill -0 "$qemu" 2>/dev/null || fail "the guest ended: $(tail -n 20 boot.log)"
    # Where the processors are emulated, two of them sometimes wait for each other for ever; the next boot is another.
    if [ $boots -lt 4 ] && grep -q 'BUG: soft lockup' boot.log; then
        echo "guest: a processor is stuck; booting again" >&2
        kill -KILL "$qemu"
        wait "$qemu" 2>/dev/null || true
        boot
        boots=$((boots + 1))
        tries=0
    fi
    if grep -q '^FAILED' boot.log || [ $tries -ge 3000 ]; then
        fail "the guest did not come up: $(tail -n 30 boot.log)"
    fi
    sleep 0.1
done
# The monitor wants a client that stays until it has answered.
python3 - monitor <<'END'
import socket, sys
monitor = socket.socket(socket.AF_UNIX)
monitor.settimeout(120)
monitor.connect(sys.argv[1])
def answer():
    text = b""
    while not text.endswith(b"(qemu) "):
        piece = monitor.recv(65536)
        if not piece:
            break
        text += piece
    return text.decode(errors="replace")
answer()
monitor.sendall(b"savevm ready\n")
said = answer()
if "Error" in said:
    sys.exit("guest: the snapshot could not be saved: " + said)
monitor.sendall(b"quit\n")
END
wait "$qemu" || true
qemu=
qemu-img snapshot -l saving.qcow2 | grep -q ready || fail "the disk has no snapshot"
rm -f files input monitor
mv saving.qcow2 saved.qcow2
trap 'rm -f "$image"' EXIT
# Each is 0.6 GB; those of other inputs that nobody has used for three days are not coming back.
find "$cache" -maxdepth 1 -name 'guest-????????????' -mtime +3 -exec rm -rf {} +
echo "$guest"
