# Finds and starts one of the programs. Read by startserver.sh and startbroker.sh, which set:
#   program     its name, also that of its binary
#   config      its configuration file, below the root
#   binary      where it is, or nothing: then it is looked for
#
# Works from any directory: the program runs in the root (the folder above this one), so that the
# relative paths of its configuration mean the same each time. POSIX sh.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

usage() {
    cat <<END
usage: $0 [--daemon] [--pid-file FILE] [--log-file FILE] [ARGUMENT]...

Starts $program in the foreground; Ctrl-C stops it.

  --daemon         start it in the background; scripts/stopserver.sh stops it
  --pid-file FILE  where --daemon writes its process id (data/$program.pid)
  --log-file FILE  where --daemon sends its log (data/$program.log)

Other arguments go to $program ("$program --help" explains them). Without --config it reads
$config. The binary is looked for in the environment variable
$(binary_variable), then in target/release, beside this script, in bin, and in PATH.
END
}

binary_variable() {
    printf '%s_BIN\n' "$program" | tr 'a-z-' 'A-Z_'
}

say() {
    printf '%s\n' "$*" >&2
}

# Sets $binary or ends with a sentence.
find_binary() {
    if [ -n "$binary" ]; then
        binary=$(absolute "$binary")
        [ -x "$binary" ] && return
        say "$(binary_variable) = $binary: there is no such program."
        exit 1
    fi
    for folder in "${CARGO_TARGET_DIR:-$root/target}/release" "$root/scripts" "$root/bin"; do
        binary=$folder/$program
        [ -x "$binary" ] && return
    done
    binary=$(command -v "$program") && return
    say "There is no $program yet: build it with 'cargo build --release' in $root," \
        "or say where it is with $(binary_variable)=/path/to/$program."
    exit 1
}

# The path as it is meant in the folder where the script was called.
absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s\n' "$caller/$1" ;;
    esac
}

is_running() {
    [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null
}

start_daemon() {
    if is_running "$pid_file"; then
        say "$program is running already: process $(cat "$pid_file"), named in $pid_file."
        exit 1
    fi
    mkdir -p "$(dirname "$pid_file")" "$(dirname "$log_file")"
    nohup "$binary" "$@" >>"$log_file" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$pid_file"
    # What is wrong with the configuration or a port shows in the first moment.
    for _ in 1 2 3 4 5; do
        sleep 0.1
        kill -0 "$pid" 2>/dev/null && continue
        code=0
        wait "$pid" || code=$?
        rm -f "$pid_file"
        say "$program did not start. The end of $log_file:"
        tail -n 5 "$log_file" >&2
        exit "$code"
    done
    echo "$program runs as process $pid. Its log: $log_file. To stop it:" \
        "sh $root/scripts/stopserver.sh $pid_file"
}

start() {
    caller=$PWD
    daemon=no
    has_config=no
    pid_file=$root/data/$program.pid
    log_file=$root/data/$program.log
    # Goes round the arguments once: takes ours out, puts the others back behind.
    count=$#
    while [ "$count" -gt 0 ]; do
        argument=$1
        shift
        count=$((count - 1))
        case $argument in
            --daemon) daemon=yes ;;
            --pid-file | --log-file | --config | -c)
                if [ "$count" -eq 0 ]; then
                    say "$argument needs a file."
                    exit 2
                fi
                file=$(absolute "$1")
                shift
                count=$((count - 1))
                case $argument in
                    --pid-file) pid_file=$file ;;
                    --log-file) log_file=$file ;;
                    *) has_config=yes && set -- "$@" --config "$file" ;;
                esac
                ;;
            --config=*) has_config=yes && set -- "$@" --config "$(absolute "${argument#*=}")" ;;
            --help | -h) usage && exit ;;
            # A subcommand reads its own files, as named in the caller's folder.
            check-config | status)
                find_binary
                exec "$binary" "$argument" "$@"
                ;;
            *) set -- "$@" "$argument" ;;
        esac
    done
    find_binary
    cd "$root"
    if [ "$has_config" = no ] && [ -f "$config" ]; then
        set -- --config "$config" "$@"
    fi
    if [ "$daemon" = yes ]; then
        start_daemon "$@"
    else
        exec "$binary" "$@"
    fi
}
