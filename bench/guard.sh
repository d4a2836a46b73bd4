#!/bin/sh
# Counts the instructions of the hot paths: "sh bench/guard.sh --help" says how. POSIX sh, Linux.
set -eu
cd "$(dirname -- "$0")/.."

counts=bench/guard/instructions.txt
bin=${CARGO_TARGET_DIR:-target}/release/bench-guard
few=8
accept=no

usage() {
    cat <<END
usage: sh bench/guard.sh [--accept]

Counts with valgrind how many instructions one message takes in each of the hot paths of broker and
ha-server: codec, filter match, routes, connection, frames, the leader's decision, the replicated state.
Compares with $counts and fails when a path takes more than 5 % more. Other programs
on the machine do not matter; the compiler does, which is pinned.

  --accept  write what was counted as the new numbers, with the change that explains them
END
}

case ${1:-} in
    -h | --help) usage && exit ;;
    --accept) accept=yes ;;
    '') ;;
    *) usage >&2 && exit 2 ;;
esac
if [ "$(uname -m)" != x86_64 ]; then
    echo "The numbers in $counts are those of x86_64: nothing was compared."
    exit
fi

cargo build --release --locked -p bench-guard
new=$(mktemp)
trap 'rm -f "$new"' EXIT

# refs PATH ROUNDS: instructions of a whole run.
refs() {
    valgrind --tool=cachegrind --cache-sim=no --branch-sim=no --cachegrind-out-file=/dev/null \
        "$bin" "$1" "$2" 2>&1 | awk '/I +refs:/ { gsub(",", "", $NF); print $NF }'
}

"$bin" | while read -r path messages; do
    more=$((4096 / messages))
    base=$(refs "$path" $few)
    full=$(refs "$path" $((few + more)))
    awk "BEGIN { printf \"%s %.1f\\n\", \"$path\", ($full - $base) / ($more * $messages) }"
done >"$new"

if [ $accept = yes ]; then
    {
        echo "# Instructions per message; written by: sh bench/guard.sh --accept"
        cat "$new"
    } >"$counts"
    cat "$counts"
    exit
fi
awk '
    FNR == NR { if ($1 != "#") known[$1] = $2; next }
    {
        is_known = $1 in known
        change = is_known ? ($2 / known[$1] - 1) * 100 : 0
        word = !is_known ? "is not in the list" : change > 5 ? "WORSE" : change < -5 ? "better" : ""
        if (!is_known || change > 5) failed = 1
        if (change < -5) improved = 1
        printf "%-18s %10.1f %10.1f %+7.1f %%  %s\n", $1, $2, known[$1], change, word
    }
    END {
        if (improved) print "Faster: sh bench/guard.sh --accept keeps it so."
        if (failed) print "More instructions than 5 % above the list. If there is a reason, --accept, and say it."
        exit failed
    }' "$counts" "$new"
