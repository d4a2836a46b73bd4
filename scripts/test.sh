#!/bin/sh
# All checks and tests of the repository, as CI runs them. Needs Rust; what else the tests need is
# installed from Debian packages where that is possible (as root or with sudo). TEST_INSTALL=no
# installs nothing. POSIX sh.
set -eu
cd "$(dirname -- "$0")/.."
# Debian keeps haproxy and nginx where only root looks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

say() {
    printf '%s\n' "$*" >&2
}

step() {
    say "== $*"
    "$@"
}

has_stream_module() {
    [ -e /usr/lib/nginx/modules/ngx_stream_module.so ]
}

# The Debian packages of what is missing, one a line.
missing_packages() {
    command -v mosquitto_pub >/dev/null && command -v mosquitto_rr >/dev/null \
        || echo mosquitto-clients
    command -v haproxy >/dev/null || echo haproxy
    command -v nginx >/dev/null || echo nginx-light
    has_stream_module || echo libnginx-mod-stream
    command -v cc >/dev/null || printf '%s\n' gcc libc6-dev
    command -v make >/dev/null || echo make
    command -v valgrind >/dev/null || echo valgrind
    python3 -c 'import venv, ensurepip' 2>/dev/null || printf '%s\n' python3 python3-venv
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

can_install() {
    [ "${TEST_INSTALL:-yes}" = yes ] || return 1
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

install() {
    say "== installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@"
}

prepare() {
    missing=$(missing_packages)
    [ -z "$missing" ] && return
    if can_install; then
        # shellcheck disable=SC2086  # one word for each package
        install $missing || say "== the installation failed"
        missing=$(missing_packages)
    fi
    [ -z "$missing" ] && return
    say "The tests need programs that are not here. Install these Debian packages (or what your" \
        "system calls them), then run this again:"
    say "$missing"
    exit 1
}

check_scripts() {
    for script in scripts/*.sh bench/*.sh .ci/run; do
        sh -n "$script"
    done
}

if ! command -v cargo >/dev/null; then
    say "cargo is missing. Install Rust (https://rustup.rs), then run this again."
    exit 1
fi
prepare
step check_scripts
step sh scripts/clients.sh
step cargo fmt --all --check
step cargo clippy --locked --workspace --all-targets -- -D warnings
# Builds the programs as well, which `cargo test` alone does not.
step cargo build --locked --workspace --all-targets
step cargo test --locked --workspace
# About two minutes, always of the same seeds: what is red was changed. Fresh ones are for people:
# scripts/simulate.sh.
step env SIM_SEEDS=280 cargo test --locked -p sim --test mqtt -- \
    --exact with_faults_every_promise_is_kept
# Instructions, not time: a busy machine counts the same.
step sh bench/guard.sh
# Module texts link to private items: their readers are developers, in the source.
step env RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' \
    cargo doc --locked --workspace --no-deps
if command -v cargo-deny >/dev/null; then
    step cargo deny --locked check
else
    say "== cargo deny is not installed; skipped"
fi
say "== all passed"
