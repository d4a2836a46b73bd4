#!/bin/sh
# Runs the fuzz targets one after the other: scripts/fuzz.sh [SECONDS [TARGET...]]
# SECONDS are for each target, 3600 by default; without TARGET all of them. Ends at the first finding,
# which is then in fuzz/artifacts. Begins with the kept inputs of fuzz/corpus; new ones go to
# fuzz/found. Needs a nightly compiler and cargo-fuzz. POSIX sh.
set -eu
cd "$(dirname -- "$0")/.."

say() {
    printf '%s\n' "$*" >&2
}

seconds=${1:-3600}
case $seconds in
'' | *[!0-9]*)
    say "usage: scripts/fuzz.sh [SECONDS [TARGET...]]"
    exit 2
    ;;
esac
[ $# -gt 0 ] && shift

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    say "This needs a nightly compiler and cargo-fuzz:"
    say "    rustup toolchain install nightly && cargo install cargo-fuzz"
    exit 1
fi

# shellcheck disable=SC2046  # one word for each target
[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
for target in "$@"; do
    say "== $target, $seconds s"
    mkdir -p "fuzz/found/$target" "fuzz/corpus/$target"
    # No sanitizer: our crates have no unsafe code.
    cargo +nightly fuzz run --sanitizer none "$target" "fuzz/found/$target" "fuzz/corpus/$target" \
        -- -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=2048
done
say "== nothing found"
