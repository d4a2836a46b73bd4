#!/bin/sh
# Compares this project with other brokers and clusters: "sh bench/compare.sh --help" says how.
# POSIX sh, Linux.
set -eu
cd "$(dirname -- "$0")/.."
# Debian keeps servers where only root looks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

bin=${CARGO_TARGET_DIR:-target}/release
raw=${COMPARE_RAW:-${CARGO_TARGET_DIR:-target}/compare.jsonl}
packages='mosquitto nats-server rabbitmq-server redis-server'

usage() {
    cat <<END
usage: sh bench/compare.sh [install | OPTION...]

Starts this project and the others in turn on loopback, puts the same loads on each, and writes what came of it
into docs/benchmarks.md, with plots. Others that are not installed do not take part. Nothing else should be
running. Three rounds of everything take about two hours.

  install          installs the others: Debian packages ($packages)
                   and Aedes from npm (needs Node.js 20); stops what of them runs as a service

Options of "ha-compare run":
  --rounds N       of each measurement (3)
  --seconds N      that count in one (5)
  --peers A,B      some only
  --loads A,B      some only: "pairs", "paced", "kill", "idle", "subscribers" ...
  --growing A,B    whose curves are measured (ours-1-2, mosquitto-bridged, nats)
  --folder DIR     keep data and logs
  --first-port N   of 50 (23000)
"$bin/ha-compare list" names peers and loads.

The environment may choose:
  COMPARE_RAW=FILE         where measurements are added, a line of JSON each ($raw); a run with
                           other peers or loads adds to it, another build needs a new one. Beside it
                           is the data of what runs, so it must be on a disk
  COMPARE_PAGE=no          do not write the page
END
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install() {
    # shellcheck disable=SC2086  # one word for each package
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
    for service in $packages; do
        # What is measured is started by ha-compare.
        as_root service "$service" stop || :
    done
    (cd bench/compare/aedes && npm ci --no-fund --no-audit)
}

case ${1:-} in
    -h | --help)
        usage
        exit 0
        ;;
    install)
        install
        exit 0
        ;;
esac
cargo build --release --locked -p ha-server -p broker-plugin -p bench-load -p bench-compare
mkdir -p "$(dirname -- "$raw")"
# Ten thousand connections. Not more than that needs: Erlang sizes a table by it.
ulimit -n 20000
"$bin/ha-compare" run --raw "$raw" --programs "$bin" "$@"
if [ "${COMPARE_PAGE:-yes}" = yes ]; then
    "$bin/ha-compare" page --raw "$raw"
fi
