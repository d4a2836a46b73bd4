#!/bin/sh
# Starts ha-broker with conf/broker.conf; "sh scripts/startbroker.sh --help" explains.
set -eu
program=ha-broker
config=conf/broker.conf
binary=${HA_BROKER_BIN:-}
. "$(dirname -- "$0")/program.sh"
start "$@"
