#!/bin/sh
# A private Docker Engine: a "host" of its own made of a network namespace and a mount namespace, with a dockerd in it.
# Nothing of it is seen outside: bridges, firewall rules, routes, sysctls and /run belong to its namespaces, and its
# folder holds the rest. Needs root; takes about half a second.
#
#     engine.sh start NAME [--engine FOLDER] [-- DOCKERD-ARGUMENT…]    prints the folder of the bed
#     engine.sh stop NAME            removes its containers, its processes, its namespaces and its folder
#     engine.sh exec NAME COMMAND…   runs COMMAND in the namespaces of that host, in this folder, with DOCKER_HOST set
#     engine.sh kill NAME            kills dockerd and its containerd as a crash would; the namespaces stay
#     engine.sh revive NAME          starts dockerd again on the same data
#     engine.sh reboot NAME          ends everything but its data as a power cut would; the namespaces are new ones
#     engine.sh ls                   the beds that exist
#     engine.sh sweep                stops the beds whose `owner` file names a process that is gone
#
# FOLDER is what `newest-engine.sh` prints; without it the installed engine is used. NAME: lower case letters, digits
# and dashes, at most 20. Beds live in /var/tmp/stack-beds (or STACK_BEDS), each with
#
#     docker.sock  log  docker.pid  keeper.pid (a process that keeps the namespaces)  engine  arguments  data/  exec/
#
# and a network namespace `bed-NAME` under /run/netns, so that tests can put cables into it. `start` writes the process
# id given in STACK_BED_OWNER to `owner`.
set -eu

base=${STACK_BEDS:-/var/tmp/stack-beds}
PATH=$PATH:/usr/sbin:/sbin

fail() { printf 'engine.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

[ $# -ge 1 ] || usage
verb=$1
shift
name=
case $verb in
    ls | sweep) ;;
    *)
        [ $# -ge 1 ] || usage
        name=$1
        shift
        case $name in
            '' | *[!a-z0-9-]*) fail "'$name' is not a name: lower case letters, digits and dashes" ;;
        esac
        [ ${#name} -le 20 ] || fail "the name '$name' is longer than 20 characters"
        ;;
esac
[ "$(id -u)" = 0 ] || fail "namespaces need root"
bed=$base/$name
namespace=bed-$name
DOCKER_HOST=unix://$bed/docker.sock
export DOCKER_HOST

# A process that has ended and waits for its parent to notice (state Z) counts as gone; the parent may take seconds.
alive() {
    [ -n "$1" ] && read -r line 2>/dev/null <"/proc/$1/stat" || return 1
    case ${line##*) } in
        Z* | X*) return 1 ;;
    esac
}
pid_of() { cat "$bed/$1.pid" 2>/dev/null || true; }
inside() { nsenter --target "$(pid_of keeper)" --net --mount --wdns="$PWD" -- "$@"; }

# The first process of the bed: makes the mounts, then only keeps the namespaces. The mounts: the cgroup tree has to be
# saved over the new sysfs, since dockerd does not start without it; /run is private, so that the lock of iptables,
# the named namespaces and the sockets of containerd are this host's own; so is the folder where `stack` itself
# may keep its records. The name server is an address of this host that nobody listens on, so that no question for a name
# leaves it.
keeper() {
    cat <<END
set -e
mkdir -p '$bed/cgroup'
mount --rbind /sys/fs/cgroup '$bed/cgroup'
mount -t sysfs sysfs /sys
mount --move '$bed/cgroup' /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/netns /var/lib/stack
mount --bind '$bed/lib' /var/lib/stack
mount --bind '$bed/resolv.conf' "\$(readlink -f /etc/resolv.conf)"
touch '$bed/ready'
exec sleep infinity
END
}

start_keeper() {
    mkdir -p "$bed/lib"
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
    # Addresses of links are there at once, not after two seconds of asking the wire: a host that was looked at before
    # and after does not change by itself.
    ip netns exec "$namespace" sysctl -q -w net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
    ip -n "$namespace" address add 192.0.2.53/32 dev lo
    echo "nameserver 192.0.2.53" >"$bed/resolv.conf"
    keeper >"$bed/keeper.sh"
    setsid nohup nsenter --net="/run/netns/$namespace" unshare --mount --propagation private sh "$bed/keeper.sh" \
        >"$bed/keeper.log" 2>&1 </dev/null &
    echo $! >"$bed/keeper.pid"
    until [ -e "$bed/ready" ]; do
        alive "$(pid_of keeper)" || fail "the namespaces of '$name' did not come up: $(cat "$bed/keeper.log")"
        sleep 0.01
    done
}

# dockerd outlives this script, and its log goes to the bed. The cgroup driver is named since dockerd would otherwise
# talk to systemd, which the private /run hides. The cgroup tree is the machine's, so the bed has a branch of its own.
start_engine() {
    engine=$(cat "$bed/engine")
    [ -z "$engine" ] || PATH=$engine/usr/sbin:$engine/usr/bin:$PATH
    # Not by `inside`: a function in the background is a shell that would wait here and hold our output open.
    # shellcheck disable=SC2046
    nsenter --target "$(pid_of keeper)" --net --mount -- setsid nohup dockerd --data-root "$bed/data" --exec-root "$bed/exec" --pidfile "$bed/docker.pid" \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$namespace" -H "$DOCKER_HOST" \
        $(cat "$bed/arguments") \
        >>"$bed/log" 2>&1 </dev/null &
    child=$!
    tries=0
    until curl -sf --max-time 5 --unix-socket "$bed/docker.sock" http://engine/_ping >/dev/null 2>&1; do
        tries=$((tries + 1))
        alive "$child" || fail "dockerd of '$name' ended: $(tail -n 5 "$bed/log")"
        [ $tries -lt 1200 ] || fail "dockerd of '$name' does not answer after 60 s: $(tail -n 5 "$bed/log")"
        sleep 0.05
    done
}

# Every process whose mount namespace is the bed's; containers have one of their own, so their parents, the shims, are
# among these and they are not.
processes() {
    keeper=$(pid_of keeper)
    alive "$keeper" || return 0
    own=$(stat -L -c %i "/proc/$keeper/ns/mnt")
    stat -L -c '%i %n' /proc/[0-9]*/ns/mnt 2>/dev/null | awk -F'[ /]' -v own="$own" '$1 == own {print $4}'
}

# The bed's branch of the cgroup tree, once in each hierarchy (version 1) or once (version 2).
cgroups() {
    for branch in "/sys/fs/cgroup/$namespace" /sys/fs/cgroup/*/"$namespace"; do
        [ ! -d "$branch" ] || echo "$branch"
    done
}

wait_gone() {
    tries=0
    while alive "$1"; do
        tries=$((tries + 1))
        [ $tries -lt "$2" ] || return 1
        sleep 0.02
    done
}

stop_bed() {
    [ -d "$bed" ] || fail "there is no bed '$name'"
    engine=$(pid_of docker)
    if alive "$engine"; then
        # shellcheck disable=SC2046
        set -- $(timeout 20 docker ps -aq 2>/dev/null || true)
        [ $# -eq 0 ] || timeout 120 docker rm -f "$@" >/dev/null 2>&1 || true
    fi
    end_all
    # A mount namespace goes away a moment after its last process, and with it the mounts below this folder.
    tries=0
    until rm -rf "$bed" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 50 ] || fail "cannot remove $bed"
        sleep 0.1
    done
}

# All processes at once, since nothing of them is kept (asked politely, dockerd takes 2.5 s): dockerd, containerd, and
# what an engine that crashed has left: shims and containers; the keeper last. Then the namespaces.
end_all() {
    keeper=$(pid_of keeper)
    # shellcheck disable=SC2046
    for process in $(processes) $(find /dev/null $(cgroups) -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u); do
        [ "$process" = "$keeper" ] || kill -KILL "$process" 2>/dev/null || true
    done
    for branch in $(cgroups); do
        tries=0
        until find "$branch" -depth -type d -exec rmdir {} + 2>/dev/null; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] || fail "cannot remove $branch"
            sleep 0.05
        done
    done
    if alive "$keeper"; then
        kill -KILL "$keeper" 2>/dev/null || true
        wait_gone "$keeper" 250 || true
    fi
    if [ -e "/run/netns/$namespace" ]; then
        ip netns del "$namespace"
    fi
}

case $verb in
    start)
        engine=
        while [ $# -gt 0 ]; do
            case $1 in
                --engine) engine=$2; shift 2 ;;
                --) shift; break ;;
                *) usage ;;
            esac
        done
        [ -z "$engine" ] || [ -x "$engine/usr/sbin/dockerd" ] || fail "no dockerd in $engine/usr/sbin"
        mkdir -p "$base"
        mkdir "$bed" 2>/dev/null || fail "the bed '$name' exists already: engine.sh stop $name"
        [ -z "${STACK_BED_OWNER:-}" ] || echo "$STACK_BED_OWNER" >"$bed/owner"
        printf '%s' "$engine" >"$bed/engine"
        printf '%s ' "$@" >"$bed/arguments"
        started=no
        trap '[ $started = yes ] || stop_bed' EXIT
        start_keeper
        start_engine
        started=yes
        echo "$bed"
        ;;
    stop) stop_bed ;;
    exec)
        [ $# -ge 1 ] || usage
        [ -d "$bed" ] || fail "there is no bed '$name'"
        inside "$@"
        ;;
    kill)
        for process in $(pid_of docker) $(cat "$bed/exec/containerd/containerd.pid" 2>/dev/null); do
            kill -KILL "$process" 2>/dev/null || true
            wait_gone "$process" 250 || fail "process $process does not end"
        done
        # A containerd that nobody has reaped yet still has its id, and the next dockerd would wait for it to answer.
        rm -f "$bed/docker.pid" "$bed/docker.sock" "$bed/exec/containerd/containerd.pid"
        ;;
    revive)
        [ -d "$bed" ] || fail "there is no bed '$name'"
        start_engine
        ;;
    reboot)
        [ -d "$bed" ] || fail "there is no bed '$name'"
        end_all
        rm -rf "$bed/ready" "$bed/docker.pid" "$bed/docker.sock" "$bed/exec"
        start_keeper
        ;;
    ls | sweep)
        for bed in "$base"/*/; do
            [ -d "$bed" ] || continue
            name=$(basename "$bed")
            if [ "$verb" = ls ]; then
                echo "$name"
            elif [ -e "$bed/owner" ] && ! alive "$(cat "$bed/owner")"; then
                "$0" stop "$name"
                echo "swept $name"
            fi
        done
        ;;
    *) usage ;;
esac
