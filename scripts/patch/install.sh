#!/bin/sh
# Install one version of a package: simulated, so that a rolling patch can be practised anywhere.
#
# A real one would call apt-get, dnf or zypper here; everything around it is as it would be. The
# package lives below --root: `current` holds the version that runs, `previous` the one before,
# `started` when it was started (seconds) and `warm-up` how many seconds it takes to answer.
# Nothing outside of --root is touched; a relative path is below the home folder. With --check
# nothing is touched at all. POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'install: %s\n' "$1" >&2
    exit "${2:-1}"
}

root='' package='' version='' warm_up=0 check=''
while [ $# -gt 0 ]; do
    case $1 in
        --*=*)
            option=${1%%=*} value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            continue
            ;;
        --check)
            check=1
            shift
            continue
            ;;
        --root) root=${2?--root needs a value} ;;
        --package) package=${2?--package needs a value} ;;
        --version) version=${2?--version needs a value} ;;
        --warm-up) warm_up=${2?--warm-up needs a value} ;;
        *) die "there is no option '$1'" 2 ;;
    esac
    shift 2
done
case $root in '') die 'which --root?' 2 ;; /*) ;; *) root=$HOME/$root ;; esac
case $package in '' | .* | *[!A-Za-z0-9._-]*) die "'$package' is not a package's name" 2 ;; esac
case $version in '' | *[!A-Za-z0-9.+~-]*) die "'$version' is not a version" 2 ;; esac
case $warm_up in '' | *[!0-9]*) die "'$warm_up' is not a number of seconds" 2 ;; esac

put() { # put FILE TEXT: whole or not at all
    printf '%s\n' "$2" >"$1.new.$$"
    mv -f -- "$1.new.$$" "$1"
}

home=$root/$package
[ -n "$check" ] || mkdir -p -- "$home"
trap 'rm -f -- "$home"/*.new.$$' EXIT
before=''
[ ! -e "$home/current" ] || before=$(cat -- "$home/current")
case $before in *[!A-Za-z0-9.+~-]*) die "$home holds something unexpected" ;; esac
changed=false
if [ "$before" = "$version" ]; then
    printf '%s %s is already installed\n' "$package" "$version"
    [ -z "$check" ] || echo UNCHANGED
elif [ -n "$check" ]; then
    printf 'CHANGE %s: %s -> %s\n' "$package" "${before:-nothing}" "$version"
    changed=true
else
    printf 'fetching %s %s\n' "$package" "$version"
    [ -z "$before" ] || put "$home/previous" "$before"
    printf 'stopping the service\n'
    put "$home/warm-up" "$warm_up"
    put "$home/current" "$version"
    printf 'starting the service\n'
    put "$home/started" "$(date +%s)"
    changed=true
    printf '%s: %s -> %s\n' "$package" "${before:-nothing}" "$version"
fi
answer=$(printf '{"before": "%s", "version": "%s", "changed": %s}' "$before" "$version" "$changed")
if [ -n "${WTS_OUTPUT:-}" ]; then printf '%s\n' "$answer" >"$WTS_OUTPUT"; else printf '%s\n' "$answer"; fi
