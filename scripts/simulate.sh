#!/bin/sh
# Simulated clusters under faults, judged by what their clients see, with seeds that nobody has run:
#
#   scripts/simulate.sh [SECONDS [FIRST_SEED]]
#
# Two minutes, and seeds of today (UTC), unless told otherwise. A seed that fails is printed, and added to
# tests/sim/tests/regressions/mqtt.txt: add what was wrong there, and commit it with the fix. POSIX sh.
set -eu
cd "$(dirname -- "$0")/.."
SIM_SECONDS=${1:-120}
SIM_FIRST=${2:-$(date -u +%Y%m%d)0000}
export SIM_SECONDS SIM_FIRST
printf 'seeds from %s on, for %s s\n' "$SIM_FIRST" "$SIM_SECONDS" >&2
exec cargo test --locked -p sim --test mqtt -- --ignored --nocapture by_fresh_seeds
