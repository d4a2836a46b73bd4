#!/bin/sh
# Builds ha-server and ha-broker, runs three of each under load for two minutes while
# processes of all kinds are killed and stopped, and judges what clients saw. Takes the arguments of
# ha-chaos instead of the usual ones:
#   sh scripts/chaos.sh --servers 1 --brokers 2 --victims broker,server --seconds 30 --keep kept
# Power loss (Linux): whoever is killed finds only what it had synced. Damaged disks: one ha-server at a
# time is killed and its log damaged; it must say so, and recover before it votes.
#   sh scripts/chaos.sh --disk forgets --victims broker,leader,server,all --seconds 120
#   sh scripts/chaos.sh --victims broker,leader,all,disk --seconds 120
# Retained messages that race, instead of publishers and subscribers; every topic must be linearizable:
#   sh scripts/chaos.sh --race 1000 --victims broker,leader,server --seconds 120
# Share groups whose members die as well; nothing may be lost, or be with two members at a time:
#   sh scripts/chaos.sh --shares --victims broker,leader,server
# Exit code 0: every promise was kept. POSIX sh; needs cargo, a C compiler and make.
set -eu
cd "$(dirname -- "$0")/.."

cargo build --release --locked -p ha-server -p broker-plugin -p chaos
if [ $# -eq 0 ]; then
    set -- --servers 3 --brokers 3 --seconds 120 --kill-every 2.5s \
        --victims broker,leader,server,all --stop 8s
fi
exec target/release/ha-chaos "$@"
