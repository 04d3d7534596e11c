#!/bin/sh
# Put the configuration before (FILE.previous) back and restart the service with it.
#
# The one that did not work is kept as FILE.failed. Without a FILE.previous the configuration is
# left alone and the service is restarted all the same. POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'roll-back: %s\n' "$1" >&2
    exit "${2:-1}"
}

service='' init='' config=''
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
        --config) config=${2?--config needs a value} ;;
        *) die "there is no option '$1'" 2 ;;
    esac
    shift 2
done
case $config in '') die 'which --config?' 2 ;; /*) ;; *) config=$HOME/$config ;; esac
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

restored=false
if [ -f "$config.previous" ]; then
    cp -p -- "$config" "$config.failed"
    mv -f -- "$config.previous" "$config"
    restored=true
    printf '%s is the one before again; the other one is %s.failed\n' "$config" "$config"
else
    printf 'there is no %s.previous: the configuration stays\n' "$config"
fi
control stop || :
control start
printf '%s was started again (process %s)\n' "$service" "$(pid)"
answer=$(printf '{"restored": %s}' "$restored")
if [ -n "${WTS_OUTPUT:-}" ]; then printf '%s\n' "$answer" >"$WTS_OUTPUT"; else printf '%s\n' "$answer"; fi
