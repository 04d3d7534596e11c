#!/bin/sh
# Go back to the version of a simulated package that ran before. POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'roll-back: %s\n' "$1" >&2
    exit "${2:-1}"
}

root='' package='' version=''
while [ $# -gt 0 ]; do
    case $1 in
        --*=*)
            option=${1%%=*} value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            continue
            ;;
        --root) root=${2?--root needs a value} ;;
        --package) package=${2?--package needs a value} ;;
        --version) version=${2?--version needs a value} ;;
        *) die "there is no option '$1'" 2 ;;
    esac
    shift 2
done
case $root in '') die 'which --root?' 2 ;; /*) ;; *) root=$HOME/$root ;; esac
case $package in '' | .* | *[!A-Za-z0-9._-]*) die "'$package' is not a package's name" 2 ;; esac

put() { # put FILE TEXT: whole or not at all
    printf '%s\n' "$2" >"$1.new.$$"
    mv -f -- "$1.new.$$" "$1"
}

home=$root/$package
changed=false
now=''
if [ ! -e "$home/current" ]; then
    printf '%s was never installed: nothing to go back from\n' "$package"
else
    trap 'rm -f -- "$home"/*.new.$$' EXIT
    now=$(cat -- "$home/current")
    if [ "$now" != "$version" ]; then
        printf '%s runs %s already: nothing to go back from\n' "$package" "$now"
    elif [ ! -e "$home/previous" ]; then
        rm -f -- "$home/current" "$home/started" "$home/warm-up"
        now=''
        changed=true
        printf '%s: there was no version before; it is removed\n' "$package"
    else
        now=$(cat -- "$home/previous")
        put "$home/warm-up" 0
        put "$home/current" "$now"
        rm -f -- "$home/previous"
        put "$home/started" "$(date +%s)"
        changed=true
        printf '%s: back to %s\n' "$package" "$now"
    fi
fi
case $now in *[!A-Za-z0-9.+~-]*) die "$home holds something unexpected" ;; esac
answer=$(printf '{"version": "%s", "changed": %s}' "$now" "$changed")
if [ -n "${WTS_OUTPUT:-}" ]; then printf '%s\n' "$answer" >"$WTS_OUTPUT"; else printf '%s\n' "$answer"; fi
