#!/bin/sh
# Say whether a simulated package's service answers, and with which version. Changes nothing.
# POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'health: %s\n' "$1" >&2
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

home=$root/$package
[ -e "$home/current" ] || die "$package is not installed below $root"
found=$(cat -- "$home/current")
started=$(cat -- "$home/started")
warm_up=$(cat -- "$home/warm-up")
case $found$started$warm_up in *[!A-Za-z0-9.+~-]*) die "$home holds something unexpected" ;; esac
up=$(($(date +%s) - started))

healthy=true
if [ -n "$version" ] && [ "$found" != "$version" ]; then
    healthy=false
    printf 'version %s answers, not %s\n' "$found" "$version"
elif [ "$up" -lt "$warm_up" ]; then
    healthy=false
    printf '503: still starting (%s s of %s s)\n' "$up" "$warm_up"
else
    printf '200: version %s answers\n' "$found"
fi
answer=$(printf '{"healthy": %s, "version": "%s"}' "$healthy" "$found")
if [ -n "${WTS_OUTPUT:-}" ]; then printf '%s\n' "$answer" >"$WTS_OUTPUT"; else printf '%s\n' "$answer"; fi
