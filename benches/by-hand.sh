#!/bin/sh
# What one types without an orchestrator to get the stack of the shape `lan` (see measure/stacks.rs): a macvlan network,
# containers on it, and a shim for the host; and to get rid of it. One command after the other. Called as the tools are:
#
#     by-hand.sh -p PROJECT -f FILE up -d | down -t 0
set -eu
project=$2 file=$4 verb=$5
[ "$1" = -p ] && [ "$3" = -f ]
label=com.docker.compose.project=$project
case $verb in
    up)
        docker network create --driver macvlan --subnet 10.50.0.0/24 --gateway 10.50.0.1 --ip-range 10.50.0.64/26 \
            --aux-address shim=10.50.0.62 --opt parent=wire0 --label "$label" "${project}_lan" >/dev/null
        for service in $(jq -r '.services | keys[]' "$file"); do
            docker run -d --name "$project-$service-1" --label "$label" --network "${project}_lan" --env EDITION=first \
                stack-bench:latest sleep 1000000 >/dev/null
        done
        ip link add hand0 link wire0 type macvlan mode bridge
        ip address add 10.50.0.62/32 dev hand0
        ip link set hand0 up
        ip route add 10.50.0.64/26 dev hand0 src 10.50.0.62
        ;;
    down)
        ip link del hand0
        # shellcheck disable=SC2046
        docker rm -f $(docker ps -aq --filter "label=$label") >/dev/null
        docker network rm "${project}_lan" >/dev/null
        ;;
esac
