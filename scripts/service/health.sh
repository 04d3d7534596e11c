#!/bin/sh
# Say whether a service is up and stays up: the same process still runs it --steady seconds later.
# Changes nothing. An unhealthy service is an answer, not an error. POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'health: %s\n' "$1" >&2
    exit "${2:-1}"
}

service='' init='' steady=2
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
        --steady) steady=${2?--steady needs a value} ;;
        *) die "there is no option '$1'" 2 ;;
    esac
    shift 2
done
case $steady in '' | *[!0-9]*) die "'$steady' is not a number of seconds" 2 ;; esac
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

healthy=false
first=$(pid)
if ! control status >/dev/null 2>&1; then
    printf '%s is down\n' "$service"
else
    sleep "$steady"
    second=$(pid)
    if ! control status >/dev/null 2>&1; then
        printf '%s went down within %s s\n' "$service" "$steady"
    elif [ "$first" != "$second" ]; then
        printf '%s was restarted within %s s: it keeps failing\n' "$service" "$steady"
    else
        printf '%s is up and steady (process %s)\n' "$service" "${first:-?}"
        healthy=true
    fi
fi
answer=$(printf '{"healthy": %s}' "$healthy")
if [ -n "${WTS_OUTPUT:-}" ]; then printf '%s\n' "$answer" >"$WTS_OUTPUT"; else printf '%s\n' "$answer"; fi
