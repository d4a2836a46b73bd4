#!/bin/sh
# Measures ha-broker beside rumqttd's own server and mosquitto: "sh bench/beside.sh --help" says how.
# POSIX sh, Linux.
set -eu
cd "$(dirname -- "$0")/.."
# Debian keeps mosquitto where only root looks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

rounds=${1:-3}
seconds=${2:-5}
brokers=${BESIDE_BROKERS:-ha-broker rumqttd mosquitto}
port=${BESIDE_PORT:-21883}
bin=${CARGO_TARGET_DIR:-target}/release
pid=
failed=no

# A line for each load: its name, its QoS, and what ha-bench is told.
loads='pairs 0 pairs --clients 4
pairs 1 pairs --clients 4
fan-in 0 fan-in --clients 100
fan-in 1 fan-in --clients 100
fan-out 0 fan-out --clients 100
fan-out 1 fan-out --clients 100
paced 1 pairs --clients 4 --rate 2000'
if [ -n "${BESIDE_LOADS:-}" ]; then
    loads=$(printf '%s\n' "$loads" | grep -E "^($BESIDE_LOADS) ")
fi

usage() {
    cat <<END
usage: sh bench/beside.sh [ROUNDS [SECONDS]]

Loads ha-broker (alone), rumqttd's own server and mosquitto with ha-bench in turn, each freshly
started, in 3 ROUNDS of 5 SECONDS for each load, after a second of it that does not count; prints the
medians as a table in Markdown. Builds what is not there; mosquitto comes from its Debian package. Takes
about 21 x ROUNDS x (SECONDS + 3) seconds.

All run on this machine over loopback. The load generator takes its share of the processors, so
figures compare within a run only, and nothing else should be running.

  pairs    4 publishers, each with its own subscriber
  fan-in   100 publishers, 1 subscriber
  fan-out  1 publisher, 100 subscribers
  paced    pairs with 2,000 messages a second together; the others are as fast as the window of
           ha-bench allows

Payloads of 256 bytes, MQTT 3.1.1. msg/s: deliveries. CPU: of the broker, for a million deliveries.
p99: from when a message was due to its delivery. lost, twice: in all rounds together.

  rumqttd    has the limits of the configuration that it ships
  mosquitto  has no persistence and no limit of queued or in-flight messages; TCP_NODELAY, with
             which it carries fewer messages, when paced only

The environment may choose:
  BESIDE_BROKERS='rumqttd mosquitto'  some of the three, in another order
  BESIDE_LOADS='pairs|paced'          some of the loads
  BESIDE_PORT=21883                   port under test; ha-broker's HTTP port is the next one
  BESIDE_RAW=FILE                     keep each measurement: load, QoS, broker, msg/s, CPU, p99,
                                      lost, twice
END
}

say() {
    printf '%s\n' "$*" >&2
}

build() {
    cargo build --release --locked -p broker-plugin -p bench-load
    case $brokers in
        *rumqttd*)
            cargo build --release --locked --manifest-path bench/rumqttd/Cargo.toml \
                --target-dir "${CARGO_TARGET_DIR:-target}"
            ;;
    esac
    case $brokers in
        *mosquitto*)
            command -v mosquitto >/dev/null && return
            say "mosquitto is missing. Install it (Debian: mosquitto), then run this again."
            exit 1
            ;;
    esac
}

configure() {
    cat >"$folder/broker.conf" <<END
[CONFIG]
BIND = 127.0.0.1
PORT_NO = $port
HTTP_PORT = $((port + 1))
DATA_DIR = $folder/data
[AUTHENTICATION]
ALLOW_ANONYMOUS = YES
[DISTRIBUTOR]
DISTRIBUTION_ENABLED = NO
END
    cat >"$folder/mosquitto.conf" <<END
listener $port 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
max_inflight_messages 0
END
    {
        cat "$folder/mosquitto.conf"
        echo set_tcp_nodelay true
    } >"$folder/mosquitto-paced.conf"
}

# launch BROKER LOAD
launch() {
    config=mosquitto.conf
    [ "$2" != paced ] || config=mosquitto-paced.conf
    case $1 in
        ha-broker) set -- "$bin/ha-broker" --config "$folder/broker.conf" ;;
        rumqttd) set -- "$bin/rumqttd-server" "$port" ;;
        mosquitto) set -- mosquitto -c "$folder/$config" ;;
        *) say "$1: no such broker." && exit 2 ;;
    esac
    "$@" >"$folder/log" 2>&1 </dev/null &
    pid=$!
    tries=0
    until listens; do
        tries=$((tries + 1))
        if [ "$tries" -gt 50 ] || ! kill -0 "$pid" 2>/dev/null; then
            say "$1 does not listen on port $port. The end of its log:"
            tail -n 5 "$folder/log" >&2
            exit 1
        fi
        sleep 0.2
    done
}

# State 0A is LISTEN.
listens() {
    grep -q "^ *[0-9]*: 0100007F:$(printf '%04X' "$port") [0-9A-F:]* 0A " /proc/net/tcp
}

stop() {
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    pid=
}

clean_up() {
    stop
    rm -rf "$folder"
}

# measure LOAD QOS BROKER ARGUMENT...
measure() {
    name="$1 $2 $3"
    qos=$2
    launch "$3" "$1"
    shift 3
    set -- "$@" --qos "$qos" --size 256 --publish "127.0.0.1:$port" --subscribe "127.0.0.1:$port"
    # What a program does once after its start is not what is measured.
    "$bin/ha-bench" "$@" --seconds 1 >"$folder/report" </dev/null || :
    if "$bin/ha-bench" "$@" --seconds "$seconds" --pid "$pid" >"$folder/report" </dev/null; then
        awk -v name="$name" '
            $1 == "cpu" { value["cpu"] = $3; next }
            { value[$1] = $2 }
            END {
                print name, value["delivered"], value["cpu"], value["p99"], value["lost"], \
                    value["duplicates"]
            }' "$folder/report" >>"$folder/raw"
        say "$(tail -n 1 "$folder/raw")"
    else
        failed=yes
        say "$name: failed. The end of the broker's log:"
        tail -n 5 "$folder/log" >&2
    fi
    stop
}

measure_all() {
    round=0
    while [ "$round" -lt "$rounds" ]; do
        round=$((round + 1))
        say "== round $round of $rounds: load, QoS, broker, msg/s, CPU, p99, lost, twice"
        # No pipe: what is started must be known to the shell that stops it.
        while read -r load qos arguments; do
            for broker in $brokers; do
                # shellcheck disable=SC2086  # one word for each argument
                measure "$load" "$qos" "$broker" $arguments
            done
        done <<END
$loads
END
    done
}

# Of the raw lines, in their order of appearance.
table() {
    cat <<END
$(date -u +%Y-%m-%d), $(nproc) processors, $(uname -m), Linux $(uname -r); rounds: $rounds, seconds: $seconds.
$("$bin/ha-broker" --version), rumqttd $(version_of rumqttd), $(mosquitto -h 2>/dev/null | head -n 1).

| load | QoS | broker | msg/s | CPU-s per million | p99, ms | lost | twice |
|---|---|---|---:|---:|---:|---:|---:|
END
    awk '
        function median(key, column,    n, i, j, sorted, swap) {
            n = count[key]
            for (i = 1; i <= n; i++) {
                sorted[i] = value[key, column, i]
                for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) {
                    swap = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = swap
                }
            }
            return (sorted[int((n + 1) / 2)] + sorted[int(n / 2) + 1]) / 2
        }
        {
            key = $1 " | " $2 " | " $3
            if (!(key in count)) order[++keys] = key
            n = ++count[key]
            for (column = 4; column <= 6; column++) value[key, column, n] = $column + 0
            lost[key] += $7
            twice[key] += $8
        }
        END {
            for (k = 1; k <= keys; k++) {
                key = order[k]
                printf "| %s | %.0f | %.2f | %.2f | %d | %d |\n", key, median(key, 4), \
                    median(key, 5), median(key, 6), lost[key], twice[key]
            }
        }' "$folder/raw"
}

# version_of CRATE, as the lock file of the comparison has it.
version_of() {
    sed -n "/^name = \"$1\"/{n;s/version = \"\(.*\)\"/\1/p;}" bench/rumqttd/Cargo.lock
}

case ${1:-} in
    -h | --help) usage && exit ;;
esac
build
folder=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
configure
: >"$folder/raw"
measure_all
[ -z "${BESIDE_RAW:-}" ] || cp "$folder/raw" "$BESIDE_RAW"
table
[ "$failed" = no ]
