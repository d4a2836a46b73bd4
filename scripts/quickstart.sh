#!/bin/sh
# One ha-server and two brokers on this machine: builds them, starts them, says what to try.
#
# Ctrl-C stops all of them. One that dies, or that you kill, is started again. They listen on
# 127.0.0.1 only; data and logs are under quickstart-data/.
# The environment may choose other ports and more:
#   HA_PORT=2000 HA_HTTP_PORT=2001
#   BROKER_1_PORT=1883 BROKER_1_HTTP_PORT=8080 BROKER_1_AGENT_PORT=8090
#   BROKER_2_PORT=1884 BROKER_2_HTTP_PORT=8081 BROKER_2_AGENT_PORT=8091
#   QUICKSTART_BIND=127.0.0.1           address to listen on
#   QUICKSTART_DATA=quickstart-data     folder for data and logs
#   QUICKSTART_BIN=FOLDER               programs that are built already
#   QUICKSTART_SECONDS=60               how long they may take to get ready
#   QUICKSTART_SECONDS_MIN=3            one that lives shorter is not started again
#   QUICKSTART_PROBE=curl|wget|status   how to ask whether they are; the first that is there
#
# POSIX sh; needs cargo, a C compiler and make, nothing else. Without curl and wget the brokers are asked for through
# "ha-server status".
set -eu
cd "$(dirname -- "$0")/.."

ha_port=${HA_PORT:-2000}
ha_http_port=${HA_HTTP_PORT:-2001}
port_1=${BROKER_1_PORT:-1883}
http_port_1=${BROKER_1_HTTP_PORT:-8080}
port_2=${BROKER_2_PORT:-1884}
http_port_2=${BROKER_2_HTTP_PORT:-8081}
agent_port_1=${BROKER_1_AGENT_PORT:-8090}
agent_port_2=${BROKER_2_AGENT_PORT:-8091}
bind=${QUICKSTART_BIND:-127.0.0.1}
data=${QUICKSTART_DATA:-quickstart-data}
seconds_max=${QUICKSTART_SECONDS:-60}
# Where "any address" is asked.
case $bind in
    0.0.0.0) host=127.0.0.1 ;;
    *) host=$bind ;;
esac
# "name:pid:second" of each process and its start, in the order of their start.
started=
# One that lives no longer than this is not started again.
seconds_min=${QUICKSTART_SECONDS_MIN:-3}

say() {
    printf '%s\n' "$*" >&2
}

build() {
    if [ -n "${QUICKSTART_BIN:-}" ]; then
        bin=$QUICKSTART_BIN
        return
    fi
    if ! command -v cargo >/dev/null; then
        say "cargo is missing. Install Rust (https://rustup.rs), then run this again."
        exit 1
    fi
    for tool in cc make; do
        if ! command -v $tool >/dev/null; then
            say "$tool is missing. Install a C compiler and make (Debian: gcc make), then run this again."
            exit 1
        fi
    done
    echo "Building; the first time takes some minutes."
    cargo build --release --locked -p ha-server -p broker-plugin
    bin=${CARGO_TARGET_DIR:-target}/release
}

# launch NAME PROGRAM ARGUMENT...
launch() {
    name=$1
    program=$2
    shift 2
    mkdir -p "$data/$name"
    "$bin/$program" "$@" >>"$data/$name.log" 2>&1 </dev/null &
    started="$started $name:$!:$(date +%s)"
}

launch_server() {
    launch ha-server ha-server --config conf/HAServer.conf \
        --set "HA_SERVER.BIND=$bind" \
        --set "HA_SERVER.HA_port=$ha_port" \
        --set "HA_SERVER.HTTP_PORT=$ha_http_port" \
        --set "HA_SERVER.DATA_DIR=$data/ha-server"
}

# launch_by NAME
launch_by() {
    case $1 in
        ha-server) launch_server ;;
        broker-1) launch_broker broker-1 "$port_1" "$http_port_1" "$agent_port_1" ;;
        broker-2) launch_broker broker-2 "$port_2" "$http_port_2" "$agent_port_2" ;;
    esac
}

# launch_broker NAME PORT HTTP_PORT
launch_broker() {
    launch "$1" ha-broker --config conf/broker.conf \
        --set "CONFIG.NAME=$1" \
        --set "CONFIG.BIND=$bind" \
        --set "CONFIG.PORT_NO=$2" \
        --set "CONFIG.HTTP_PORT=$3" \
        --set "CONFIG.AGENT_PORT=$4" \
        --set "CONFIG.DRAIN_GRACE=500ms" \
        --set "CONFIG.DATA_DIR=$data/$1" \
        --set "AUTHENTICATION.ALLOW_ANONYMOUS=YES" \
        --set "DISTRIBUTOR.DISTRIBUTION_ENABLED=YES" \
        --set "DISTRIBUTOR.DISTRIBUTION_IP=$host" \
        --set "DISTRIBUTOR.DISTRIBUTION_PORT=$ha_port"
}

# pid_of NAME:PID:SECOND
pid_of() {
    pid_and_second=${1#*:}
    printf '%s' "${pid_and_second%%:*}"
}

# Stops all, the server last, so that brokers can say goodbye.
stop_all() {
    trap '' INT TERM HUP
    stopping=
    for entry in $started; do
        stopping="$entry $stopping"
    done
    started=
    for entry in $stopping; do
        pid=$(pid_of "$entry")
        kill -TERM "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || :
    done
}

interrupted() {
    echo
    echo "Stopping."
    stop_all
    echo "Stopped."
    exit 0
}

# Calls "$1 NAME CODE SECOND" for each process that has ended by itself.
for_each_ended() {
    for entry in $started; do
        pid=$(pid_of "$entry")
        kill -0 "$pid" 2>/dev/null && continue
        code=0
        wait "$pid" || code=$?
        "$1" "${entry%%:*}" "$code" "${entry##*:}"
    done
}

# Ends this script when one of the processes has ended.
check_alive() {
    for_each_ended ended_early
}

ended_early() {
    give_up "$1 has ended by itself (exit code $2)." "$1"
}

# Starts again what has ended, unless it did so at once.
revive() {
    for_each_ended start_again
}

start_again() {
    [ "$(($(date +%s) - $3))" -ge "$seconds_min" ] || ended_early "$@"
    say "$1 has ended (exit code $2). Starting it again."
    others=
    for other in $started; do
        [ "${other%%:*}" = "$1" ] || others="$others $other"
    done
    started=$others
    launch_by "$1"
}

# give_up SENTENCE NAME   Stops all, shows the end of NAME's log, fails.
give_up() {
    say
    say "$1 The end of $data/$2.log:"
    tail -n 15 "$data/$2.log" >&2
    stop_all
    say "The others have been stopped."
    exit 1
}

choose_probe() {
    for probe in ${QUICKSTART_PROBE:-curl wget}; do
        command -v "$probe" >/dev/null && return
    done
    probe=status
}

# is_ready HTTP_PORT   Whether /readyz says 200; without a program for HTTP, whether it is attached.
is_ready() {
    case $probe in
        curl) curl -fs -m 2 -o /dev/null "http://$host:$1/readyz" ;;
        wget) wget -q -T 2 -t 1 -O /dev/null "http://$host:$1/readyz" ;;
        status) is_attached "$1" ;;
    esac
}

is_attached() {
    state=$("$bin/ha-server" status --server "$host:$ha_port" --output json 2>/dev/null) || return 1
    case $1 in
        "$ha_http_port") return 0 ;;
        *) [ "$(printf '%s\n' "$state" | grep -c '"state": *"attached"')" -ge 2 ] ;;
    esac
}

# wait_ready NAME HTTP_PORT
wait_ready() {
    until is_ready "$2"; do
        check_alive
        if [ "$(date +%s)" -ge "$deadline" ]; then
            give_up "$1 was not ready within $seconds_max seconds." "$1"
        fi
        sleep 0.2
    done
}

tell() {
    cat <<END

Ready: ha-server on port $ha_port, brokers on ports $port_1 and $port_2.

Subscribe at one broker, in a second terminal:
  mosquitto_sub -h $host -p $port_2 -t 'test/#' -v
Publish to the other one, in a third:
  mosquitto_pub -h $host -p $port_1 -t test/topic -m 'Hello MQTT Cluster'
Look at the cluster:
  $bin/ha-server status --server $host:$ha_port

Logs: $data/ha-server.log, $data/broker-1.log, $data/broker-2.log
Kill one of them and see: it is started again. Press Ctrl-C to stop.
END
}

build
choose_probe
trap interrupted INT TERM HUP
deadline=$(($(date +%s) + seconds_max))
rm -f "$data/ha-server.log" "$data/broker-1.log" "$data/broker-2.log"
launch_by ha-server
wait_ready ha-server "$ha_http_port"
launch_by broker-1
launch_by broker-2
wait_ready broker-1 "$http_port_1"
wait_ready broker-2 "$http_port_2"
check_alive
tell
while :; do
    sleep 0.5
    revive
done
