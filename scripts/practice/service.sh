#!/bin/sh
# Make a small service to practise on: a program with start, stop, status and pid, and its
# configuration, below a folder of the home folder.
#
# The service reads its configuration when it starts and exits when that says `broken`. What is
# there already stays as it is, so that it may be run before every practice. POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'service: %s\n' "$1" >&2
    exit "${2:-1}"
}

folder='' next=''
while [ $# -gt 0 ]; do
    case $1 in
        --*=*)
            option=${1%%=*} value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            continue
            ;;
        --folder) folder=${2?--folder needs a value} ;;
        --next) next=${2?--next needs a value} ;;
        *) die "there is no option '$1'" 2 ;;
    esac
    shift 2
done
case $folder in '' | /* | *..*) die '--folder is a path below the home folder' 2 ;; esac
case $next in *[!A-Za-z0-9\ ._=-]*) die "--next has letters, digits, spaces and '._=-'" 2 ;; esac
home=$HOME/$folder
mkdir -p -- "$home"

cat >"$home/init.new.$$" <<'INIT'
#!/bin/sh
# A practice service. Its process sleeps; its pid file says which one that is.
set -eu
cd -- "$(dirname -- "$0")"
running() { [ -s pid ] && kill -0 "$(cat pid)" 2>/dev/null; }
case ${1:-} in
    start)
        running && exit 0
        nohup sh -c 'trap "rm -f pid; exit 0" TERM
            if grep -q broken app.conf; then sleep 0.2; rm -f pid; exit 1; fi
            while :; do sleep 1 & wait $!; done' </dev/null >/dev/null 2>&1 &
        echo $! >pid
        ;;
    stop)
        running || exit 0
        kill "$(cat pid)"
        n=0
        while running && [ $n -lt 50 ]; do n=$((n + 1)); sleep 0.1; done
        ! running
        ;;
    status) running ;;
    pid) ! running || cat pid ;;
    *) echo "usage: $0 start|stop|status|pid" >&2; exit 2 ;;
esac
INIT
chmod 755 "$home/init.new.$$"
mv -f -- "$home/init.new.$$" "$home/init"
[ -e "$home/app.conf" ] || printf 'greeting=hello\n' >"$home/app.conf"
[ -z "$next" ] || printf '%s\n' "$next" >"$home/app.conf.new"
"$home/init" status || "$home/init" start
printf 'a service to practise on is in %s (process %s)\n' "$home" "$("$home/init" pid)"
