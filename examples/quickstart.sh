#!/bin/sh
# From a bare Debian 12 machine with Rust to networks of every kind, seen to work, and away again without a trace.
#
#     sudo sh examples/quickstart.sh
#
# It installs what is missing (tests/setup.sh: Debian's Docker Engine, busybox, iproute2), builds `stack`, and makes the lab
# image, all without a registry. It uses the engine that runs, or starts a private one in namespaces of its own and
# removes it at the end. Then it brings examples/main up, asks who reaches whom, takes it down and compares the host before
# and after. Every question is shown with its answer; the exit code is 0 when all are as expected and nothing is left.
# Run it as often as you like.
#
#     STACK=PROGRAM     use this `stack` instead of building one
#     STACK_QUICKSTART_ENGINE=private       a private engine, even where one runs
set -u
here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
engine=quickstart
PATH=$PATH:/usr/sbin:/sbin
export PATH

say() { printf '\n=== %s\n' "$*"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "the host's links and routes need root: sudo sh examples/quickstart.sh"
# Rust is mostly installed for a user, and sudo forgets their PATH.
if ! command -v cargo >/dev/null && [ -n "${SUDO_USER:-}" ]; then
    home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
    PATH=$PATH:$home/.cargo/bin
    export RUSTUP_HOME="${RUSTUP_HOME:-$home/.rustup}"
fi

# --- What is needed ------------------------------------------------------------------------------------------------

say "1. What is missing is installed"
sh "$repository/tests/setup.sh" engine || fail "the set-up failed"

say "2. stack"
if [ -n "${STACK:-}" ]; then
    stack=$STACK
else
    echo "building (the first time takes some minutes) ..."
    cargo build --release --quiet --manifest-path "$repository/Cargo.toml" || fail "cargo build failed"
    stack=${CARGO_TARGET_DIR:-$repository/target}/release/stack
    # A build by root must not keep the user from building.
    [ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$repository/target" 2>/dev/null
fi
"$stack" --version || fail "$stack does not run"

say "3. An engine"
private=no
work=$(mktemp -d)
cleanup() {
    [ ! -e "$work/up" ] || (cd "$here/main" && "$stack" down >"$work/cleanup" 2>&1) || cat "$work/cleanup" >&2
    [ $private = no ] || "$stack" engine stop $engine
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
running=$(docker version --format '{{.Server.Version}}' 2>/dev/null) || running=
if [ "${STACK_QUICKSTART_ENGINE:-}" != private ] && [ -n "$running" ]; then
    echo "the one that runs: $running"
else
    echo "none runs that this may use: a private one, in namespaces of its own, for as long as this takes"
    variables=$("$stack" engine start $engine) || fail "the private engine does not start"
    private=yes
    eval "$variables"
    docker version --format 'private: {{.Server.Version}}' || fail "the private engine does not answer"
fi
# host COMMAND…: on the engine's host, which is this machine or the private engine's namespaces.
host() {
    if [ $private = yes ]; then "$stack" engine exec $engine "$@"; else "$@"; fi
}

say "4. The lab image, made here from Debian's busybox"
sh "$here/image.sh" || fail "the image could not be made"

# --- The main job --------------------------------------------------------------------------------------------------

# All that may not change, without what changes by itself.
look() {
    host ip -oneline link | sed 's/ state [A-Z]*//; s/NO-CARRIER,//; s/,LOWER_UP//'
    host ip -oneline address | sed 's/ [a-z]*valid_lft.*//'
    host ip route show table all | sed 's/ linkdown//'
    host ip -6 route show table all | sed 's/ linkdown//; s/ expires [0-9]*sec//'
    host ip rule
    host ls /run/netns 2>/dev/null
    host iptables-save | sed '/^#/d; s/ \[.*//'
    docker ps --all --quiet --no-trunc
    docker network ls --quiet --no-trunc
    docker volume ls --quiet
}

wrong=0
asked=0
# expect yes|no QUESTION COMMAND…: whether the command succeeds. What is to succeed has five seconds to come true.
expect() {
    wanted=$1
    question=$2
    shift 2
    tries=0
    while :; do
        answer=no
        "$@" >/dev/null 2>&1 && answer=yes
        tries=$((tries + 1))
        [ $answer = $wanted ] || [ $tries -ge 10 ] && break
        sleep 0.5
    done
    asked=$((asked + 1))
    if [ $answer = $wanted ]; then
        mark=ok
    else
        mark=WRONG
        wrong=$((wrong + 1))
    fi
    printf '  %-62s %-4s %s\n' "$question" "$answer" "$mark"
}
page() { curl -sf --max-time 2 "$1"; }
laptop() { host ip netns exec main-office-laptop "$@"; }
container() { name=$1; shift; docker exec "main-$name-1" "$@"; }

cd "$here/main" || fail "there is no $here/main"
# The first container of an engine leaves traces (its bridge gets an IPv6 address, some seconds later), so it comes and
# goes before anything is looked at.
first=$(docker run --detach stack-lab:latest) || fail "the engine cannot run a container"
tries=0
while host ip -oneline -6 address show tentative | grep -q . && [ $tries -lt 10 ]; do
    tries=$((tries + 1))
    sleep 0.5
done
docker rm --force "$first" >/dev/null
sleep 1
look >"$work/before"

say "5. stack plan, before anything happens"
"$stack" plan
[ $? = 2 ] || fail "stack plan failed, or found the stack up already: cd $here/main && $stack down"

say "6. stack up"
touch "$work/up"
"$stack" up --detach || fail "stack up failed"

say "7. stack graph"
"$stack" graph || wrong=$((wrong + 1))

say "8. Who reaches whom"
curl_host() { host curl -sf --max-time 2 "$1"; }
curl_laptop() { laptop curl -sf --max-time 2 "$1"; }
printer=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' main-printer-1)
web=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' main-web-1)
expect yes "laptop, another machine on the LAN, reaches site" curl_laptop http://192.168.77.20/
expect yes "the host reaches site, through its shim" curl_host http://192.168.77.20/
expect yes "the host reaches printer ($printer, given by the engine)" curl_host "http://$printer/"
expect yes "site reaches laptop" container site ping -c 1 -W 2 192.168.77.50
expect yes "site reaches the host by the host's own address" container site nc -w 2 192.168.77.10 8099 -e true
expect yes "db finds web by its name" container db wget -qO- http://web/
expect yes "db finds web by its alias www" container db wget -qO- http://www/
expect yes "sidecar finds web at localhost (service:web)" container sidecar wget -qO- http://127.0.0.1/
expect yes "db finds sidecar at web's address, port 8080" container db wget -qO- http://web:8080/
expect yes "onhost answers at the host's own port 8099" curl_host http://127.0.0.1:8099/
expect yes "sealed talks to itself" container sealed wget -qO- http://127.0.0.1/
expect no "sealed has a link besides lo" container sealed sh -c 'ls /sys/class/net | grep -qv lo'
expect no "site, on the LAN, knows the name web of the bridge" container site wget -qO- http://web/
expect no "laptop reaches web on the bridge" curl_laptop "http://$web/"

say "9. The shim is the door: its route taken away, and brought back by stack up"
shim=$(host ip -oneline link show type macvlan | sed -n 's/^[0-9]*: \([^@]*\)@lab0.*/\1/p' | head -n 1)
host ip route del 192.168.77.20 dev "$shim" || wrong=$((wrong + 1))
expect no "the host reaches site without the route by $shim" curl_host http://192.168.77.20/
expect yes "laptop still does" curl_laptop http://192.168.77.20/
"$stack" up --detach || wrong=$((wrong + 1))
expect yes "the host reaches site again" curl_host http://192.168.77.20/

say "10. stack up once more: there is nothing to do"
"$stack" up --detach || wrong=$((wrong + 1))
expect yes "stack plan finds nothing to do" "$stack" plan

say "11. stack down"
"$stack" down || wrong=$((wrong + 1))
rm -f "$work/up"
sleep 1
look >"$work/after"
nothing_left() { diff "$work/before" "$work/after"; }
expect yes "links, addresses, routes, rules, namespaces, objects as before" nothing_left
diff "$work/before" "$work/after"

say "Summary"
if [ $wrong -eq 0 ]; then
    echo "all $asked answers are as expected, and nothing is left."
    echo "next: look at $here/main/stack.yaml, and at the other folders beside it; \`$stack --help\` starts you off."
    exit 0
fi
echo "$wrong of $asked answers or commands were not as expected; see the lines marked WRONG above."
exit 1
