#!/bin/sh
# Measures a whole cluster on this machine: "sh bench/cluster.sh --help" says what. POSIX sh, Linux.
set -eu
cd "$(dirname -- "$0")/.."

parts=${*:-failover transfer takeover balanced storm wills backlog sessions durable}
rounds=${CLUSTER_ROUNDS:-20}
seconds=${CLUSTER_SECONDS:-5}
clients=${CLUSTER_CLIENTS:-10000}
sessions=${CLUSTER_SESSIONS:-100000}
messages=${CLUSTER_MESSAGES:-100000}
port=${CLUSTER_PORT:-22000}
bin=${CLUSTER_BIN:-${CARGO_TARGET_DIR:-target}/release}
failed=no
load_pid=
# Where all but broker 2 listen, which brokers there are, and the network of broker 2 if it has its own.
home=127.0.0.1
brokers='1 2'
network=10.213.77
namespace=

usage() {
    cat <<END
usage: sh bench/cluster.sh [PART...]

Starts three ha-servers and two or three brokers with what they write on this machine's disk (fsync on), for
each part freshly, and prints a table in Markdown with the goals beside it. Builds what is not there.

  failover  the leader is killed (-9) under load, with FAILOVER = NORMAL and FAST: from the kill to the
            acknowledgement of the next durable QoS 1 publish, as its client sees it
  transfer  "ha-server leader transfer" under load: the longest time without an acknowledgement; after each
            the same without a transfer, which is what the disk and the machine do by themselves
  takeover  ten subscribers at 500 messages a second, three brokers; theirs is killed (-9), and they try
            another every 50 ms: until the first message, and the longest gap
  balanced  300 subscribers behind HAProxy with conf/haproxy.cfg, three brokers, one of which is killed, or
            stopped (SIGSTOP), or killed together with the leader; they come back after 200 ms at most
  unplug    the same with a broker whose network is cut; only when it is named here, as root: it makes
            the network namespace mqtt-ha-bench with 10.213.77.0/24
  storm     a broker with 10,000 clients is killed (-9), who all come back at once, to the other two: until
            the slowest has its session; and p99 of others there meanwhile, QoS 1 at 1,000 messages a second
  wills     10,000 clients with wills lose their broker (-9): until the last will came; and p99 as above
  backlog   a durable client comes back on another broker to what was queued for it
  sessions  durable sessions that are away, with one filter and with a filter each: memory for each of
            them, and how soon a server with them serves again after a kill
  durable   QoS 1 from one broker to durable subscribers on the other: throughput, and latency at 2,000
            messages a second

All processes and the load share this machine, so the figures say what it can do with all of them.
Each line has the machine's load (the average of the last minute) before and after it.

The environment may choose:
  CLUSTER_ROUNDS=20         kills of each kind; transfers
  CLUSTER_SECONDS=5         of each load
  CLUSTER_CLIENTS=10000     of the broker that is killed in storm and wills
  CLUSTER_SESSIONS=100000   that are away
  CLUSTER_MESSAGES=100000   that are queued
  CLUSTER_PORT=22000        first of 24 ports
  CLUSTER_FOLDER=DIR        keep configurations, logs and data here; on the disk to be measured
  CLUSTER_BIN=DIR           measure these programs instead of building them
  CLUSTER_RATE=2000         messages a second while leaders are killed and transferred
END
}

say() {
    printf '%s\n' "$*" >&2
}

build() {
    [ -z "${CLUSTER_BIN:-}" ] || return 0
    cargo build --release --locked -p ha-server -p broker-plugin -p bench-load
}

server_port() {
    echo $((port + 2 * $1))
}

broker_port() {
    echo $((port + 10 + 2 * $1))
}

agent_port() {
    echo $((port + 20 + $1))
}

# host_of PROGRAM ID: where it listens. Broker 2 may be in a network namespace of its own.
host_of() {
    if [ "$1 $2" = "broker 2" ] && [ -n "$namespace" ]; then
        echo "$network.2"
    else
        echo "$home"
    fi
}

# at PROGRAM ID: its address.
at() {
    echo "$(host_of "$1" "$2"):$("${1}_port" "$2")"
}

http_of() {
    echo "$(host_of "$1" "$2"):$(($("${1}_port" "$2") + 1))"
}

# configure FAILOVER: the files of three servers and the brokers, and no data.
configure() {
    rm -rf "$folder/data"
    mkdir -p "$folder/data"
    servers="$(at server 1), $(at server 2), $(at server 3)"
    members="1@$(at server 1), 2@$(at server 2), 3@$(at server 3)"
    for id in 1 2 3; do
        cat >"$folder/server-$id.conf" <<END
[HA_SERVER]
BIND = $home
HA_port = $(server_port $id)
HTTP_PORT = $(($(server_port $id) + 1))
DATA_DIR = $folder/data/server-$id
NODE_ID = $id
MEMBERS = $members
FAILOVER = $1
END
    done
    for id in $brokers; do
        cat >"$folder/broker-$id.conf" <<END
[CONFIG]
NAME = broker-$id
BIND = $(host_of broker "$id")
PORT_NO = $(broker_port "$id")
HTTP_PORT = $(($(broker_port "$id") + 1))
AGENT_PORT = $(agent_port "$id")
DATA_DIR = $folder/data/broker-$id
SESSIONS_MAX = 1000000
CONNECTIONS_MAX = $((clients + 100))
[DISTRIBUTOR]
DISTRIBUTION_ENABLED = YES
DISTRIBUTION_IP = $servers
[AUTHENTICATION]
ALLOW_ANONYMOUS = YES
END
    done
}

# start PROGRAM ID
start() {
    within=
    if [ "$1 $2" = "broker 2" ] && [ -n "$namespace" ]; then
        within="ip netns exec $namespace"
    fi
    # shellcheck disable=SC2086  # no word or four
    $within "$bin/ha-$1" --config "$folder/$1-$2.conf" >>"$folder/$1-$2.log" 2>&1 </dev/null &
    echo $! >"$folder/$1-$2.pid"
}

pid_of() {
    cat "$folder/$1-$2.pid"
}

# ready PROGRAM ID [SECONDS]: until it is, in milliseconds.
ready() {
    "$bin/ha-bench" ready "$(http_of "$1" "$2")" --at-most "${3:-30}" | awk '{ print $2 }'
}

# begin FAILOVER
begin() {
    configure "$1"
    for id in 1 2 3; do start server $id; done
    for id in 1 2 3; do ready server $id >/dev/null; done
    for id in $brokers; do start broker "$id"; done
    for id in $brokers; do ready broker "$id" >/dev/null; done
}

# end_of FILE: kills the process.
end_of() {
    ended=$(cat "$1")
    rm -f "$1"
    kill -9 "$ended" 2>/dev/null || :
    wait "$ended" 2>/dev/null || :
}

end() {
    end_load
    for file in "$folder"/*.pid; do
        [ ! -f "$file" ] || end_of "$file"
    done
}

clean_up() {
    end
    end_network
    if [ -z "${CLUSTER_FOLDER:-}" ]; then rm -rf "$folder"; else rm -rf "$folder/data"; fi
}

leader() {
    for id in 1 2 3; do
        "$bin/ha-server" leader show --server "$(at server $id)" 2>/dev/null |
            awk '{ print $2 }' | grep . && return
    done
}

average() {
    cut -d ' ' -f 1 /proc/loadavg
}

# What runs while leaders change.
begin_load() {
    "$bin/ha-bench" pairs --qos 1 --durable --rate "${CLUSTER_RATE:-2000}" --seconds 100000 \
        --publish "$(at broker 1)" --subscribe "$(at broker 2)" \
        >/dev/null 2>&1 </dev/null &
    load_pid=$!
    sleep 2
}

end_load() {
    if [ -n "$load_pid" ]; then
        kill "$load_pid" 2>/dev/null || :
        wait "$load_pid" 2>/dev/null || :
        load_pid=
    fi
}

# bench NAME ARGUMENT...: its figures, under this name.
bench() {
    bench_name=$1
    shift
    if ! "$bin/ha-bench" "$@" >"$folder/report" </dev/null; then
        failed=yes
        say "$bench_name: failed"
        return 1
    fi
    while read -r figure number _; do
        echo "$bench_name $figure $number" >>"$folder/raw"
    done <"$folder/report"
    say "$bench_name: $(tr -s ' ' <"$folder/report" | tr '\n' ';')"
}

# resident PROGRAM ID: bytes.
resident() {
    awk '$1 == "VmRSS:" { print $2 * 1024 }' "/proc/$(pid_of "$1" "$2")/status"
}

# record NAME FIGURE NUMBER
record() {
    echo "$*" >>"$folder/raw"
    say "$*"
}

# settled: nobody is behind.
settle() {
    for id in 1 2 3; do ready server $id >/dev/null; done
    for id in $brokers; do ready broker "$id" >/dev/null; done
    sleep 1
}

failover() {
    for mode in NORMAL FAST; do
        begin $mode
        begin_load
        record "failover-$mode" load "$(average)"
        round=0
        while [ $round -lt "$rounds" ]; do
            round=$((round + 1))
            dead=$(leader)
            bench "failover-$mode" outage --publish "$(at broker 1)" \
                --strike "kill -9 $(pid_of server "$dead")" || :
            wait "$(pid_of server "$dead")" 2>/dev/null || :
            start server "$dead"
            settle
        done
        record "failover-$mode" load "$(average)"
        end
    done
}

transfer() {
    begin NORMAL
    begin_load
    record transfer load "$(average)"
    round=0
    while [ $round -lt "$rounds" ]; do
        round=$((round + 1))
        to=$(($(leader) % 3 + 1))
        bench transfer outage --publish "$(at broker 1)" --strike \
            "$bin/ha-server leader transfer $to --server $(at server 1)" || :
        bench transfer-none outage --publish "$(at broker 1)" --strike true || :
    done
    record transfer load "$(average)"
    end
}

backlog() {
    begin NORMAL
    record backlog load "$(average)"
    round=0
    while [ $round -lt 3 ]; do
        round=$((round + 1))
        bench backlog backlog --publish "$(at broker 1)" \
            --subscribe "$(at broker 2)" --messages "$messages" \
            --pid "$(pid_of broker 2)" || :
    done
    record backlog load "$(average)"
    end
}

sessions() {
    for filters in one each; do
        begin NORMAL
        record "sessions-$filters" load "$(average)"
        pids=
        empty=$(resident server 1)
        for id in 1 2 3; do pids="$pids --pid $(pid_of server $id)"; done
        # shellcheck disable=SC2086  # one word for each argument
        bench "sessions-$filters" sessions --count "$sessions" --filters $filters $pids \
            --broker "$(at broker 1)" --broker "$(at broker 2)" || :
        for id in 1 2 3; do
            end_of "$folder/server-$id.pid"
            start server $id
            record "sessions-$filters" ready "$(ready server $id 120)"
            settle
            loaded=$(resident server "$id")
            record "sessions-$filters" reloaded $(((loaded - empty) / sessions))
        done
        record "sessions-$filters" load "$(average)"
        end
    done
}

durable() {
    begin NORMAL
    for load in 'durable-fast 0' 'durable-paced 2000'; do
        name=${load% *}
        record "$name" load "$(average)"
        round=0
        while [ $round -lt 3 ]; do
            round=$((round + 1))
            bench "$name" pairs --qos 1 --durable --rate "${load#* }" --seconds "$seconds" \
                --publish "$(at broker 1)" \
                --subscribe "$(at broker 2)" || :
        done
        record "$name" load "$(average)"
    done
    end
}

takeover() {
    brokers='1 2 3'
    begin NORMAL
    record takeover load "$(average)"
    round=0
    while [ $round -lt "$rounds" ]; do
        round=$((round + 1))
        bench takeover takeover --publish "$(at broker 1)" --subscribe "$(at broker 2)" \
            --retry "$(at broker 3)" --strike "kill -9 $(pid_of broker 2)" || :
        restart broker 2
    done
    record takeover load "$(average)"
    end
    brokers='1 2'
}

# restart PROGRAM ID, which is dead.
restart() {
    wait "$(pid_of "$1" "$2")" 2>/dev/null || :
    start "$1" "$2"
    settle
}

# Others at the brokers that live, for so many seconds, once all is ready for the strike.
neighbours() {
    echo "$bin/ha-bench pairs --qos 1 --rate 1000 --seconds $1 --publish $(at broker 1)" \
        "--subscribe $(at broker 3) >$folder/neighbours 2>&1 </dev/null &"
}

# note_neighbours NAME: they have ended.
note_neighbours() {
    awk -v name="$1" '$1 == "p99" || $1 == "lost" { print name, "others-" $1, $2 }' "$folder/neighbours" \
        >>"$folder/raw"
    say "$1 others: $(tr -s ' ' <"$folder/neighbours" | tr '\n' ';')"
}

# Three rounds: each takes half a minute to connect all. A message to all of them takes its time as well: it
# comes before and after what is measured.
storm() {
    brokers='1 2 3'
    begin NORMAL
    record storm load "$(average)"
    for round in 1 2 3; do
        bench storm takeover --publish "$(at broker 1)" --subscribe "$(at broker 2)" \
            --retry "$(at broker 1)" --retry "$(at broker 3)" --clients "$clients" --every 20000 \
            --prepare "$(neighbours 13)" --before 1000 --after 14000 \
            --strike "kill -9 $(pid_of broker 2)" || :
        note_neighbours storm
        restart broker 2
    done
    record storm load "$(average)"
    end
    brokers='1 2'
}

wills() {
    brokers='1 2 3'
    begin NORMAL
    record wills load "$(average)"
    for round in 1 2 3; do
        bench wills wills --clients-at "$(at broker 2)" --subscribe "$(at broker 3)" \
            --clients "$clients" --prepare "$(neighbours 13)" --strike "kill -9 $(pid_of broker 2)" || :
        sleep 13
        note_neighbours wills
        restart broker 2
    done
    record wills load "$(average)"
    end
    brokers='1 2'
}

# sample_line ID: of a broker in the sample, with the ports of this cluster.
sample_line() {
    grep '^    server broker-1 ' conf/haproxy.cfg | sed -e "s/broker-1/broker-$1/" \
        -e "s/127.0.0.1:1883/$(at broker "$1")/" -e "s/ port 8080/ port $(($(broker_port "$1") + 1))/" \
        -e "s/agent-port 8090/agent-port $(agent_port "$1")/"
}

# HAProxy with the sample configuration for the brokers of this cluster.
balancer() {
    sed -e "s/:1885/:$((port + 19))/" -e '/^    server broker-/d' conf/haproxy.cfg \
        >"$folder/haproxy.cfg"
    for id in $brokers; do sample_line "$id" >>"$folder/haproxy.cfg"; done
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin haproxy -f "$folder/haproxy.cfg" \
        >>"$folder/haproxy.log" 2>&1 </dev/null &
    echo $! >"$folder/haproxy-1.pid"
    sleep 2
}

# moved NAME BROKER STRIKE: what clients behind the load balancer see of it.
moved() {
    bench "balanced-$1" takeover --publish "$(at broker $(($2 % 3 + 1)))" --strike "$3" \
        --subscribe "127.0.0.1:$((port + 19))" --clients 300 --every 50 --jitter 200 || :
}

balanced() {
    brokers='1 2 3'
    begin NORMAL
    balancer
    for kind in kill stop both; do
        record "balanced-$kind" load "$(average)"
        round=0
        while [ $round -lt "$rounds" ]; do
            id=$((round % 3 + 1))
            round=$((round + 1))
            victim=$(pid_of broker $id)
            case $kind in
                kill) moved kill $id "kill -9 $victim" && restart broker $id ;;
                stop) moved stop $id "kill -STOP $victim" && kill -CONT "$victim" && settle ;;
                both)
                    dead=$(leader)
                    moved both $id "kill -9 $victim $(pid_of server "$dead")"
                    start server "$dead"
                    restart broker $id
                    ;;
            esac
        done
        record "balanced-$kind" load "$(average)"
    done
    end
    brokers='1 2'
}

begin_network() {
    namespace=mqtt-ha-bench
    home=$network.1
    ip netns add $namespace
    ip link add mqtt-ha-0 type veth peer name mqtt-ha-1 netns $namespace
    ip address add "$network.1/24" dev mqtt-ha-0
    ip link set mqtt-ha-0 up
    ip netns exec $namespace ip address add "$network.2/24" dev mqtt-ha-1
    ip netns exec $namespace ip link set mqtt-ha-1 up
    ip netns exec $namespace ip link set lo up
}

end_network() {
    [ -n "$namespace" ] || return 0
    ip link del mqtt-ha-0 2>/dev/null || :
    ip netns del $namespace 2>/dev/null || :
    namespace=
    home=127.0.0.1
}

unplug() {
    brokers='1 2 3'
    begin_network
    begin NORMAL
    balancer
    record balanced-unplug load "$(average)"
    round=0
    while [ $round -lt "$rounds" ]; do
        round=$((round + 1))
        moved unplug 2 "ip link set mqtt-ha-0 down"
        ip link set mqtt-ha-0 up
        settle
    done
    record balanced-unplug load "$(average)"
    end
    end_network
    brokers='1 2'
}

# Least, median and most of each figure, in order of appearance; first and last load.
table() {
    cat <<END
$(date -u +%Y-%m-%d), $(nproc) processors, $(uname -m), Linux $(uname -r); $("$bin/ha-server" --version).

| measured | figure | n | least | median | most | goal | load |
|---|---|---:|---:|---:|---:|---|---|
END
    awk '
        BEGIN {
            goal["failover-NORMAL next"] = "median 600 ms"
            goal["failover-FAST next"] = "median 400 ms, most 600 ms"
            goal["transfer gap"] = "50 ms"
            goal["takeover first"] = "median 250 ms"
            goal["takeover gap"] = "500 ms"
            goal["balanced-kill first-most"] = "median 1,500 ms, most 2,500 ms"
            goal["balanced-stop first-most"] = goal["balanced-unplug first-most"] = "3,500 ms"
            goal["balanced-both first-most"] = "4,000 ms"
            goal["takeover lost"] = goal["takeover reordered"] = goal["balanced-kill lost"] = "0"
            goal["balanced-stop lost"] = goal["balanced-unplug lost"] = goal["balanced-both lost"] = "0"
            goal["storm accepted"] = "10,000 ms"
            goal["storm others-p99"] = goal["wills others-p99"] = "100 ms"
            goal["storm lost"] = goal["wills missing"] = goal["wills again"] = "0"
            goal["backlog resumed"] = "50,000 msg/s"
            goal["backlog missing"] = "0"
            goal["backlog again"] = "0"
            goal["backlog grown"] = "64 MiB"
            goal["sessions-one memory"] = goal["sessions-each memory"] = "1,024 B"
            goal["sessions-one reloaded"] = goal["sessions-each reloaded"] = "1,024 B"
            goal["sessions-one ready"] = goal["sessions-each ready"] = "10,000 ms"
            goal["durable-fast delivered"] = "25,000 msg/s"
            goal["durable-paced p50"] = "5 ms"
        }
        $2 == "load" {
            if ($1 in load) load[$1] = load[$1] " to " $3
            else load[$1] = $3
            next
        }
        {
            key = $1 " " $2
            if (!(key in count)) order[++keys] = key
            n = ++count[key]
            for (j = n; j > 1 && value[key, j - 1] > $3 + 0; j--) value[key, j] = value[key, j - 1]
            value[key, j] = $3 + 0
        }
        END {
            for (k = 1; k <= keys; k++) {
                key = order[k]
                n = count[key]
                split(key, part, " ")
                median = (value[key, int((n + 1) / 2)] + value[key, int(n / 2) + 1]) / 2
                printf "| %s | %s | %d | %.1f | %.1f | %.1f | %s | %s |\n", part[1], part[2], n, \
                    value[key, 1], median, value[key, n], goal[key], load[part[1]]
            }
        }' "$folder/raw"
}

case ${1:-} in
    -h | --help) usage && exit ;;
esac
for part in $parts; do
    case $part in
        failover | transfer | takeover | balanced | unplug | storm | wills | backlog | sessions | durable) ;;
        *) say "$part: no such part." && exit 2 ;;
    esac
done
build
# 10,000 clients are as many files, here and in their broker.
ulimit -n "$(ulimit -H -n)"
folder=${CLUSTER_FOLDER:-$(mktemp -d)}
mkdir -p "$folder"
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
: >"$folder/raw"
for part in $parts; do $part; done
table
[ "$failed" = no ]
