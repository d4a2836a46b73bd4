#!/bin/sh
# Stops what startserver.sh or startbroker.sh started with --daemon, and waits until it has ended.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

usage() {
    cat <<END
usage: $0 [server|broker|PID_FILE]...

Stops ha-server (data/ha-server.pid; this is the default), ha-broker (data/ha-broker.pid), or the
process of any other pid file, and waits up to \${STOP_SECONDS:-45} seconds for its end.
END
}

say() {
    printf '%s\n' "$*" >&2
}

# Whether the process is one of ours: after a crash its id may have gone to another program.
is_ours() {
    kill -0 "$1" 2>/dev/null || return 1
    command -v ps >/dev/null || return 0
    case $(ps -p "$1" -o comm=) in
        *ha-server* | *ha-broker*) ;;
        *) return 1 ;;
    esac
}

# Returns 1 when the process still runs in the end.
stop() {
    name=$1
    pid_file=$2
    if [ ! -s "$pid_file" ]; then
        echo "$name is not running: there is no $pid_file."
        return
    fi
    pid=$(cat "$pid_file")
    if ! is_ours "$pid"; then
        rm -f "$pid_file"
        echo "$name was not running any more: process $pid has ended."
        return
    fi
    kill -TERM "$pid"
    tenths=$((${STOP_SECONDS:-45} * 10))
    while kill -0 "$pid" 2>/dev/null; do
        if [ "$tenths" -le 0 ]; then
            say "$name (process $pid) has not ended in ${STOP_SECONDS:-45} seconds; it still runs."
            return 1
        fi
        tenths=$((tenths - 1))
        sleep 0.1
    done
    rm -f "$pid_file"
    echo "$name (process $pid) has stopped."
}

[ $# -gt 0 ] || set -- server
failed=no
for target in "$@"; do
    case $target in
        --help | -h) usage && exit ;;
        server) stop ha-server "$root/data/ha-server.pid" || failed=yes ;;
        broker) stop ha-broker "$root/data/ha-broker.pid" || failed=yes ;;
        *) stop "$(basename "$target" .pid)" "$target" || failed=yes ;;
    esac
done
[ "$failed" = no ]
