#!/bin/sh
# Restart a service and say which process runs it before and after.
#
# By systemd, or where there is none by --init, a program that takes start, stop, status and pid
# (as /etc/init.d programs do, and pid prints the process). A service that is down is started.
# POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'restart: %s\n' "$1" >&2
    exit "${2:-1}"
}

service='' init=''
while [ $# -gt 0 ]; do
    case $1 in
        --*=*)
            option=${1%%=*} value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            continue
            ;;
        --service) service=${2?--service needs a value} ;;
        --init) init=${2?--init needs a value} ;;
        *) die "there is no option '$1'" 2 ;;
    esac
    shift 2
done
case $service in '' | .* | -* | *[!A-Za-z0-9@._-]*) die "'$service' is not the name of a service" 2 ;; esac
case $init in '') ;; /*) ;; *) init=$HOME/$init ;; esac

control() { # control start|stop|status
    if [ -n "$init" ]; then
        "$init" "$1"
    elif [ "$1" = status ]; then
        systemctl is-active --quiet -- "$service.service"
    else
        systemctl "$1" -- "$service.service"
    fi
}
pid() {
    if [ -n "$init" ]; then
        "$init" pid 2>/dev/null || :
    else
        systemctl show --property MainPID --value -- "$service.service" 2>/dev/null | grep -v "^0$" || :
    fi
}
if [ -n "$init" ]; then
    [ -f "$init" ] && [ -x "$init" ] || die "$init is not a program"
else
    [ -d /run/systemd/system ] || die "there is no systemd here: name the program of the service with --init"
fi

before=$(pid)
if control status >/dev/null 2>&1; then
    printf 'stopping %s (process %s)\n' "$service" "${before:-?}"
    control stop
else
    printf '%s is down\n' "$service"
fi
printf 'starting %s\n' "$service"
control start
after=$(pid)
for number in "$before" "$after"; do
    case $number in *[!0-9]*) die "'$number' is not a process" ;; esac
done
printf '%s runs as process %s\n' "$service" "${after:-?}"
answer=$(printf '{"pid_before": %s, "pid": %s}' "${before:-0}" "${after:-0}")
if [ -n "${WTS_OUTPUT:-}" ]; then printf '%s\n' "$answer" >"$WTS_OUTPUT"; else printf '%s\n' "$answer"; fi
