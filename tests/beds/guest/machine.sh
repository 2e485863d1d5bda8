# The virtual machine, for build.sh and run-in-guest.sh: both have to describe the same one, or the snapshot does not
# fit. Sourced.
# shellcheck shell=sh disable=SC2034

# Two processors, 1 GiB, no network card, no display. A disk for files has one size for ever; it is sparse.
machine_files_size=256M
machine_arguments="-accel tcg,thread=multi,tb-size=512 -machine pc -cpu max -smp 2 -m 1024 -display none -nic none -no-reboot -nodefaults"
machine_kernel_arguments="console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off nokaslr random.trust_cpu=on"

# Where QEMU is not installed, what tests/beds/qemu.sh has unpacked serves. $here is the sourcing script's folder.
if ! command -v qemu-system-x86_64 >/dev/null && machine_qemu=$(sh "$here/../qemu.sh" --cached); then
    PATH=$machine_qemu/bin:$PATH
fi
