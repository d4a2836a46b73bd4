#!/bin/sh
# Restarts a cluster one program after the other, so that clients and acknowledged messages are not lost:
# each broker lets its clients go first, and the ha-server that leads hands over the lead first.
#
# POSIX sh; needs curl, and ha-server for what it asks the cluster.
set -eu

usage() {
    cat <<END
usage: $0 [OPTION]... FILE

Restarts the programs of a cluster, named in FILE, one after the other. Stops at the first one that does not
come back; then the others still run as before.

FILE has a line for each program, empty lines and lines that begin with "#" are passed over:

  broker NAME URL COMMAND    a broker: its NAME, its HTTP port such as http://10.0.0.5:8080, and what restarts
  server ID   URL COMMAND    it; an ha-server: its NODE_ID, its HTTP port, and what restarts it

COMMAND is given to sh. It must return when the old process has ended, and be successful, as
  ssh broker-1 sudo systemctl restart ha-broker
  kill -TERM \$(cat b1.pid) && while kill -0 \$(cat b1.pid) 2>/dev/null; do sleep 0.1; done; sh start-b1.sh

  --server HOST:PORT[,HOST:PORT]...  the ports for brokers of all ha-servers (127.0.0.1:2000)
  --rate N                           clients that a broker sends away in a second (its DRAIN_RATE)
  --timeout SECONDS                  how long each step may take (120)
  --dry-run                          say what would be done
  --help                             this

The program ha-server is looked for in the environment variable HA_SERVER_BIN, then in PATH.
END
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

wrong() {
    printf '%s\n' "$*" >&2
    usage >&2
    exit 2
}

servers=127.0.0.1:2000
rate=
timeout=120
dry_run=no
file=
while [ $# -gt 0 ]; do
    case $1 in
        --server | --rate | --timeout)
            [ $# -gt 1 ] || wrong "$1 needs a value."
            case $1 in
                --server) servers=$2 ;;
                --rate) rate=$2 ;;
                --timeout) timeout=$2 ;;
            esac
            shift
            ;;
        --dry-run) dry_run=yes ;;
        --help | -h)
            usage
            exit 0
            ;;
        -*) wrong "$1: there is no such option." ;;
        *)
            [ -z "$file" ] || wrong "one FILE, please: $file or $1."
            file=$1
            ;;
    esac
    shift
done
[ -n "$file" ] || wrong "FILE is missing."
[ -r "$file" ] || fail "$file: cannot be read."
case $timeout in '' | *[!0-9]*) wrong "--timeout $timeout: expected a number of seconds." ;; esac
case $rate in *[!0-9]*) wrong "--rate $rate: expected a number." ;; esac
ha_server=${HA_SERVER_BIN:-ha-server}

# The lines of one kind: "NAME URL COMMAND".
lines() {
    sed -n "s/^[[:space:]]*$1[[:space:]][[:space:]]*//p" "$file"
}

check_file() {
    number=0
    while read -r kind name url command || [ -n "$kind" ]; do
        number=$((number + 1))
        case $kind in
            '' | '#'*) continue ;;
            broker | server) ;;
            *) fail "$file:$number: expected broker or server, found $kind." ;;
        esac
        case $url in
            http://* | https://*) ;;
            *) fail "$file:$number: $kind $name: expected a URL such as http://10.0.0.5:8080." ;;
        esac
        [ -n "$command" ] || fail "$file:$number: $kind $name: what restarts it is missing."
    done <"$file"
}

# Asks one ha-server after the other until one answers.
ask() {
    answer=
    for server in $(printf '%s' "$servers" | tr ',' ' '); do
        if answer=$("$ha_server" "$@" --server "$server" 2>&1); then
            printf '%s\n' "$answer"
            return 0
        fi
    done
    printf '%s\n' "$answer" >&2
    return 1
}

# What /readyz says, also when it is 503.
readyz() {
    curl --silent --max-time 5 "$1/readyz" || true
}

is_ready() {
    case $(readyz "$1") in
        *'"ready":true'*) return 0 ;;
        *) return 1 ;;
    esac
}

is_empty() {
    case $(readyz "$1") in
        *'"clients":0,'*'"draining":true'*) return 0 ;;
        *) return 1 ;;
    esac
}

# The number of the ha-server that leads, or nothing.
leader() {
    ask leader show 2>/dev/null | sed -n 's/^server \([0-9]*\) at .*/\1/p'
}

is_led_by_other() {
    now=$(leader)
    [ -n "$now" ] && [ "$now" != "$1" ]
}

# The index that the leader has applied; columns are SERVER ROLE STATE APPLIED.
applied_by_leader() {
    ask member list | awk '$2 == "leader" { print $4 }'
}

# Whether every server runs and has applied up to this index.
have_all_applied() {
    ask member list 2>/dev/null | awk -v least="$1" '
        $1 !~ /^[0-9]+$/ { next }
        $3 != "runs" || $4 + 0 < least + 0 { behind = 1 }
        { seen = 1 }
        END { exit !(seen && !behind) }'
}

# until_it WHAT COMMAND...: waits until the command is successful.
until_it() {
    what=$1
    shift
    deadline=$(($(date +%s) + timeout))
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || fail "$what: not within $timeout s. Nothing more is restarted."
        sleep 0.2
    done
}

# Runs what restarts a program, which must not read the list.
restart() {
    sh -c "$2" </dev/null || fail "$1: what restarts it has failed: $2"
}

roll_broker() {
    name=$1 url=$2 command=$3
    say "broker $name: lets its clients go"
    ask drain "$name" ${rate:+--rate "$rate"} >/dev/null || fail "broker $name cannot be drained."
    until_it "broker $name has no clients" is_empty "$url"
    say "broker $name: restarts"
    restart "broker $name" "$command"
    until_it "broker $name is ready" is_ready "$url"
    say "broker $name: ready"
}

roll_server() {
    id=$1 url=$2 command=$3
    if [ "$(leader)" = "$id" ] && [ "$(lines server | wc -l)" -gt 1 ]; then
        say "server $id: hands over the lead"
        ask leader transfer >/dev/null || fail "server $id cannot hand over the lead."
        until_it "another server leads" is_led_by_other "$id"
    fi
    say "server $id: restarts"
    restart "server $id" "$command"
    until_it "server $id is ready" is_ready "$url"
    until_it "somebody leads" is_led_by_other 0
    until_it "all servers have what the leader has" have_all_applied "$(applied_by_leader)"
    say "server $id: has caught up"
}

each() {
    lines "$1" | while read -r name url command; do
        "$2" "$name" "$url" "$command"
    done
}

check_ready() {
    is_ready "$2" || fail "$1 at $2 is not ready: $(readyz "$2"). Nothing was restarted."
}

plan_broker() {
    say "broker $1: drain, wait until $2/readyz says \"clients\":0, run: $3; wait until it is ready"
}

plan_server() {
    say "server $1: run: $3; wait until $2/readyz is 200 and all servers have applied what the leader has"
}

# Servers in the order of the file, the one that leads last: the lead moves once.
each_server() {
    last=$(leader)
    lines server | while read -r name url command; do
        [ "$name" = "$last" ] || "$1" "$name" "$url" "$command"
    done
    lines server | while read -r name url command; do
        [ "$name" != "$last" ] || "$1" "$name" "$url" "$command"
    done
}

check_file
if [ "$dry_run" = yes ]; then
    each broker plan_broker
    each_server plan_server
    say "The server that leads comes last, and hands over the lead before."
    exit 0
fi
command -v curl >/dev/null || fail "curl is missing."
each broker check_ready
each server check_ready
each broker roll_broker
each_server roll_server
say "All have been restarted."
