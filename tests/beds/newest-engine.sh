#!/bin/sh
# Gets the newest Docker Engine that Debian carries (in any of its suites), unpacked beside the machine's own and not
# installed, and prints the folder. Put FOLDER/usr/sbin and FOLDER/usr/bin first on PATH to use it, or give it to
# `engine.sh start NAME --engine FOLDER`.
#
#     sh tests/beds/newest-engine.sh            the newest; asks the mirror
#     sh tests/beds/newest-engine.sh --cached   what an earlier run left in the cache folder; no network
#
# Where it cannot be had it prints `skipped: REASON` and exits with 77.
#
# The mirror is the one that the machine's own package sources name. The suites are listed in a state folder of our
# own, so the machine's apt never sees them; apt checks the signatures as always. runc is left out, since Debian's newer
# one wants a newer libc than Debian 12 has: the machine's own serves.
set -eu

skip() { printf 'skipped: %s\n' "$*"; exit 77; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/stack
suites="unstable testing stable"
packages="docker.io containerd docker-cli docker-buildx tini"

newest_cached() {
    for folder in "$cache"/engine-*/; do
        [ -x "$folder/usr/sbin/dockerd" ] && basename "$folder"
    done | sort -V | tail -n 1
}

if [ "${1:-}" = --cached ]; then
    found=$(newest_cached)
    [ -n "$found" ] || skip "no newer engine in $cache; run tests/beds/newest-engine.sh"
    echo "$cache/$found"
    exit 0
fi

command -v apt-get >/dev/null || skip "no apt-get: not a Debian machine"
command -v runc >/dev/null || [ -x /usr/sbin/runc ] || skip "no runc; run tests/setup.sh"
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || skip "the machine's package sources name no Debian mirror"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || skip "no $keyring: apt-get install debian-archive-keyring"

mkdir -p "$cache"
work=$(mktemp -d "$cache/.engine.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# apt fetches as a user of its own, which has to be able to look into this folder.
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/none"
: >"$work/status"
for suite in $suites; do
    echo "deb [signed-by=$keyring] $mirror $suite main"
done >"$work/sources.list"

own_apt() {
    program=$1
    shift
    "$program" -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/none" \
        -o Dir::Etc::Preferences="$work/no-preferences" -o Dir::Etc::PreferencesParts="$work/none" \
        -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work" \
        -o Dir::Cache::archives="$work/archives" -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

own_apt apt-get update >"$work/log" 2>&1 || skip "the mirror does not answer: $(tail -n 1 "$work/log")"
version=$(own_apt apt-cache madison docker.io | awk -F'|' 'NR > 0 {gsub(/ /, "", $2); print $2}' | sort -V | tail -n 1)
[ -n "$version" ] || skip "the mirror lists no docker.io"
upstream=$(printf '%s' "$version" | sed 's/[+-].*//')
folder=$cache/engine-$upstream
if [ -x "$folder/usr/sbin/dockerd" ]; then
    echo "$folder"
    exit 0
fi
cd "$work/archives"
# shellcheck disable=SC2086
own_apt apt-get download $packages >"$work/log" 2>&1 || skip "download failed: $(tail -n 1 "$work/log")"
mkdir "$work/tree"
for package in *.deb; do
    dpkg -x "$package" "$work/tree"
done
"$work/tree/usr/sbin/dockerd" --version >"$work/log" 2>&1 ||
    skip "docker.io $version does not run on this machine: $(tail -n 1 "$work/log")"
mv "$work/tree" "$folder"
echo "$folder"
