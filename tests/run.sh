#!/bin/sh
# Sets the machine up and runs all tests, tier by tier (DESIGN: 0 and 1 need nothing, 2 and 3 root and a private engine,
# 4 a guest kernel). Touches nothing but what it makes; safe to run twice.
#
#     sh tests/run.sh [--no-setup] [--quick] [--all]
#
# --quick: tiers 0 and 1, no set-up; --all: sweeps go everywhere (a kill after each line), where a run takes samples.
#
# A tier that fails does not stop the next one. The last line is `N passed, N failed, N skipped`; the exit code is 0 when
# nothing failed. What was skipped is listed with its reason.
set -u
cd "$(dirname "$0")/.." || exit 2

setup=yes
quick=no
for word in "$@"; do
    case $word in
        --no-setup) setup=no ;;
        --quick) quick=yes setup=no ;;
        --all) STACK_TESTS=all; export STACK_TESTS ;;
        *) echo "usage: sh tests/run.sh [--no-setup] [--quick] [--all]" >&2; exit 2 ;;
    esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
: >"$work/all"
began=$(date +%s)
broken=0

# account TITLE LOG CODE START: remembers what a tier said. A command that fails without a failed test to show for it (it did
# not build, it crashed) counts as one failed test.
account() {
    cat "$2" >>"$work/all"
    if [ "$(cat "$3")" != 0 ] && ! grep -q '^test result: FAILED' "$2"; then
        broken=$((broken + 1))
        printf '%s\n' "$1: ended with exit code $(cat "$3")" >>"$work/broken"
    fi
    printf '=== %s: %s s\n' "$1" $(($(date +%s) - $4))
}

# tier TITLE COMMAND…: runs it and shows it.
tier() {
    title=$1
    shift
    start=$(date +%s)
    printf '\n=== %s\n' "$title"
    { "$@" 2>&1; echo $? >"$work/code"; } | tee "$work/log"
    account "$title" "$work/log" "$work/code" "$start"
}

# beside TITLE COMMAND…: the same, beside the next tier; shown by `joined`.
beside() {
    beside_title=$1
    shift
    beside_start=$(date +%s)
    { "$@"; echo $? >"$work/beside.code"; } >"$work/beside" 2>&1 &
}
joined() {
    wait
    printf '\n=== %s\n' "$beside_title"
    cat "$work/beside"
    account "$beside_title" "$work/beside" "$work/beside.code" "$beside_start"
}

# live ARGUMENT…: the live tests, as root.
live() {
    cargo test -q --test live --no-run || return
    program=$(cargo test -q --test live --no-run --message-format=json |
        jq -r 'select(.reason == "compiler-artifact" and .target.name == "live") | .executable')
    if [ "$(id -u)" = 0 ]; then
        "$program" "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -E env PATH="$PATH" "$program" "$@"
    else
        "$program" "$@"
    fi
}

# Every test program but the live one.
plain() {
    set -- --lib --bins
    for name in $(cargo metadata -q --no-deps --format-version 1 |
        jq -r '.packages[].targets[] | select(.kind == ["test"]) | .name'); do
        [ "$name" = live ] || set -- "$@" --test "$name"
    done
    cargo test "$@" --no-fail-fast
}

if [ $setup = yes ]; then
    tier "set-up" sh tests/setup.sh engine guest newest ssh
fi
tier "tiers 0 and 1: texts, plans, the world in memory" plain
if [ $quick = no ]; then
    # Both wait more than they work, and know nothing of each other.
    beside "tier 3: Debian's newest engine" live --engine newest --only-engine
    tier "tiers 2, 3 and 4: the installed engine, a guest kernel" live --engine installed
    joined
fi

skips=$(sed -n 's/^test \(.*\) \.\.\. \(skipped: .*\|ignored.*\)$/  \1: \2/p' "$work/all")
[ -z "$skips" ] || printf '\nskipped:\n%s\n' "$skips"
failures=$(
    sed -n 's/^test \(.*\) \.\.\. FAILED.*$/  \1/p' "$work/all"
    [ ! -e "$work/broken" ] || sed 's/^/  /' "$work/broken"
)
[ -z "$failures" ] || printf '\nfailed:\n%s\n' "$failures"
count=$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored;.*/\1 \2 \3/p' "$work/all" |
    awk -v broken="$broken" '{p += $1; f += $2; s += $3} END {printf "%d %d %d", p, f + broken, s}')
# shellcheck disable=SC2086
set -- $count
# Nothing that ran is no success.
[ "$1" -gt 0 ] || set -- 0 "$(($2 + 1))" "$3"
printf '\nall tiers: %s s\n%s passed, %s failed, %s skipped\n' $(($(date +%s) - began)) "$1" "$2" "$3"
[ "$2" -eq 0 ]
