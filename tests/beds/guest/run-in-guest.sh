#!/bin/sh
# Runs a script in a guest with Debian's cloud kernel and a Docker Engine (see build.sh), restored from its snapshot.
#
#     sh tests/beds/guest/run-in-guest.sh [--engine FOLDER] [--timeout SECONDS] SCRIPT [FILE…]
#
# SCRIPT and the FILEs are found in the script's working folder under their own names, with their modes; SCRIPT has to name
# its interpreter (sh or bash). It runs as root, with `docker`, `ip`, `tc`, `bridge`, `iptables`, `curl`, `jq` and busybox on PATH,
# dockerd on /var/run/docker.sock and the image stack-lab:latest. A program needs no more than the C library and libgcc_s.
# What the script prints comes out here, and its exit code is the exit code (124: out of time). Where there is no guest,
# `skipped: REASON` is printed and the exit code is 77.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
limit=300
set_engine=
while [ $# -gt 0 ]; do
    case $1 in
        --engine) set_engine=$2; shift 2 ;;
        --timeout) limit=$2; shift 2 ;;
        --*) echo "run-in-guest.sh: unknown option $1" >&2; exit 2 ;;
        *) break ;;
    esac
done
[ $# -ge 1 ] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

guest=$(sh "$here/build.sh" ${set_engine:+--engine "$set_engine"}) || { code=$?; echo "$guest"; exit $code; }

work=$(mktemp -d)
qemu=
cleanup() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

mkdir "$work/t"
cp -L "$1" "$work/t/run"
chmod 755 "$work/t/run"
shift
for file in "$@"; do
    cp -rL "$file" "$work/t/"
done
. "$here/machine.sh"
tar -C "$work/t" --owner=0 --group=0 -cf "$work/files" .
blocks=$((($(stat -c %s "$work/files") + 65535) / 65536))
truncate -s "%65536" "$work/files"
rm -rf "$work/t"
[ "$(stat -c %s "$work/files")" -le "$(numfmt --from=iec "$machine_files_size")" ] || {
    echo "run-in-guest.sh: the files are larger than $machine_files_size" >&2
    exit 2
}
truncate -s "$machine_files_size" "$work/files"
# A disk of its own, since the snapshot is inside the file; where the file system can share blocks it costs nothing.
cp --reflink=auto --sparse=always "$guest/saved.qcow2" "$work/disk.qcow2"
mkfifo "$work/input"
: >"$work/console"
: >"$work/output"
# shellcheck disable=SC2154,SC2086
timeout "$limit" qemu-system-x86_64 $machine_arguments -kernel "$guest/kernel" -initrd "$guest/initramfs" \
    -append "$machine_kernel_arguments" -drive file="$work/disk.qcow2",if=virtio,format=qcow2 \
    -drive file="$work/files",if=virtio,format=raw,readonly=on \
    -serial stdio -serial file:"$work/output" -monitor none -loadvm ready <>"$work/input" >"$work/console" 2>&1 &
qemu=$!
echo "GO $blocks $(date +%s)" >"$work/input"
code=0
wait "$qemu" || code=$?
qemu=
cat "$work/output"
if [ "$code" = 124 ]; then
    echo "run-in-guest.sh: out of time after $limit s" >&2
    exit 124
fi
exit_line=$(tr -d '\r' <"$work/console" | sed -n 's/^EXIT //p' | tail -n 1)
if [ -z "$exit_line" ]; then
    echo "run-in-guest.sh: the guest ended early:" >&2
    tail -n 20 "$work/console" >&2
    exit 1
fi
exit "$exit_line"
