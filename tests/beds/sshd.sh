#!/bin/sh
# Gets an ssh server for the tests that reach an engine over ssh, and prints the program's path: the installed one, or that
# of this machine's own package sources, unpacked beside the machine's packages and not installed. (Installing it would
# open port 22 of the machine for good, only because somebody ran tests.)
#
#     sh tests/beds/sshd.sh             asks the mirror
#     sh tests/beds/sshd.sh --cached    the installed one, or what an earlier run left in the cache folder; no network
#
# Where it cannot be had it prints `skipped: REASON` and exits with 77.
set -eu

skip() { printf 'skipped: %s\n' "$*"; exit 77; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/stack
PATH=$PATH:/usr/sbin:/sbin

if installed=$(command -v sshd); then
    echo "$installed"
    exit 0
fi
if [ "${1:-}" = --cached ]; then
    for folder in "$cache"/sshd-*/; do
        [ -x "$folder/bin/sshd" ] && found=$folder
    done
    [ -n "${found:-}" ] || skip "no sshd here and none in $cache; run tests/setup.sh ssh"
    echo "${found}bin/sshd"
    exit 0
fi

command -v apt-get >/dev/null || skip "no apt-get: not a Debian machine"
version=$(apt-cache show --no-all-versions openssh-server 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
[ -n "$version" ] || skip "the machine's package sources offer no openssh-server"
folder=$cache/sshd-$(printf '%s' "$version" | tr -c 'A-Za-z0-9.+-' '_')
if [ -x "$folder/bin/sshd" ]; then
    echo "$folder/bin/sshd"
    exit 0
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/.sshd.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"
(cd "$work" && apt-get -q -o APT::Sandbox::User=root download openssh-server libwrap0 >log 2>&1) ||
    skip "download failed: $(tail -n 1 "$work/log")"
mkdir -p "$work/tree/bin"
for package in "$work"/*.deb; do
    dpkg -x "$package" "$work/tree"
done
cat >"$work/tree/bin/sshd" <<'RUN'
#!/bin/sh
# sshd with the library that lies beside it. It runs itself again for each connection, so the path has to be whole.
here=$(cd "$(dirname "$0")/.." && pwd)
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec "$here/usr/sbin/sshd" "$@"
RUN
chmod 755 "$work/tree/bin/sshd"
# It knows no such option, and says its version where it can say anything.
"$work/tree/bin/sshd" -V 2>&1 | grep -q OpenSSH || skip "sshd $version does not run on this machine"
mv "$work/tree" "$folder"
echo "$folder/bin/sshd"
