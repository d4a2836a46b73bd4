#!/bin/sh
# Starts ha-server with conf/HAServer.conf; "sh scripts/startserver.sh --help" explains.
set -eu
program=ha-server
config=conf/HAServer.conf
binary=${HA_SERVER_BIN:-}
. "$(dirname -- "$0")/program.sh"
start "$@"
