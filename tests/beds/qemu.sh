#!/bin/sh
# Gets the QEMU of this machine's own package sources, unpacked beside the machine's packages and not installed, and
# prints the folder; FOLDER/bin/qemu-system-x86_64 runs it with its own libraries and firmware. For machines on which
# apt could only install it by removing something (a newer qemu-utils from another suite is enough).
#
#     sh tests/beds/qemu.sh             asks the mirror
#     sh tests/beds/qemu.sh --cached    what an earlier run left in the cache folder; no network
#
# Where it cannot be had it prints `skipped: REASON` and exits with 77.
set -eu

skip() { printf 'skipped: %s\n' "$*"; exit 77; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/stack

if [ "${1:-}" = --cached ]; then
    for folder in "$cache"/qemu-*/; do
        [ -x "$folder/bin/qemu-system-x86_64" ] && found=${folder%/}
    done
    [ -n "${found:-}" ] || skip "no QEMU in $cache; run tests/setup.sh guest"
    echo "$found"
    exit 0
fi

command -v apt-get >/dev/null || skip "no apt-get: not a Debian machine"
version=$(apt-cache show --no-all-versions qemu-system-x86 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
[ -n "$version" ] || skip "the machine's package sources offer no qemu-system-x86"
folder=$cache/qemu-$(printf '%s' "$version" | tr -c 'A-Za-z0-9.+-' '_')
if [ -x "$folder/bin/qemu-system-x86_64" ]; then
    echo "$folder"
    exit 0
fi
# What an installation would bring, seen without doing it.
packages=$(apt-get -s -q --no-install-recommends install qemu-system-x86 2>/dev/null | awk '/^Inst / {print $2}')
[ -n "$packages" ] || skip "apt-get cannot say what qemu-system-x86 needs"

mkdir -p "$cache"
work=$(mktemp -d "$cache/.qemu.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"
# shellcheck disable=SC2086
(cd "$work" && apt-get -q -o APT::Sandbox::User=root download $packages >log 2>&1) ||
    skip "download failed: $(tail -n 1 "$work/log")"
mkdir -p "$work/tree/bin"
for package in "$work"/*.deb; do
    dpkg -x "$package" "$work/tree"
done
cat >"$work/tree/bin/qemu-system-x86_64" <<'RUN'
#!/bin/sh
# QEMU with the libraries and the firmware that lie beside it.
here=$(cd "$(dirname "$0")/.." && pwd)
LD_LIBRARY_PATH=$here/usr/lib/x86_64-linux-gnu:$here/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec "$here/usr/bin/qemu-system-x86_64" -L "$here/usr/share/qemu" -L "$here/usr/share/seabios" \
    -L "$here/usr/lib/ipxe/qemu" "$@"
RUN
chmod 755 "$work/tree/bin/qemu-system-x86_64"
"$work/tree/bin/qemu-system-x86_64" --version >"$work/log" 2>&1 ||
    skip "QEMU $version does not run on this machine: $(tail -n 1 "$work/log")"
mv "$work/tree" "$folder"
echo "$folder"
