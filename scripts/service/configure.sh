#!/bin/sh
# Put a new configuration file in the place of the present one, which is kept as FILE.previous.
#
# The new one lies ready as --new. It must not be empty; it takes over the owner's rights of the
# old one and appears whole or not at all. Nothing changes when both are the same. With --check
# it only says whether anything would. POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'configure: %s\n' "$1" >&2
    exit "${2:-1}"
}

config='' new='' check=''
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
        --config) config=${2?--config needs a value} ;;
        --new) new=${2?--new needs a value} ;;
        *) die "there is no option '$1'" 2 ;;
    esac
    shift 2
done
case $config in '') die 'which --config?' 2 ;; /*) ;; *) config=$HOME/$config ;; esac
case $new in '') die 'which --new?' 2 ;; /*) ;; *) new=$HOME/$new ;; esac

[ -f "$config" ] || die "there is no file $config"
[ -f "$new" ] || die "there is no file $new"
[ -s "$new" ] || die "$new is empty: it is not used"
if cmp -s -- "$config" "$new"; then
    printf '%s is as it should be\n' "$config"
    [ -z "$check" ] || echo UNCHANGED
    changed=false
elif [ -n "$check" ]; then
    printf 'CHANGE %s becomes %s\n' "$config" "$new"
    changed=true
else
    trap 'rm -f -- "$config.new.$$" "$config.previous.$$"' EXIT
    cp -p -- "$config" "$config.previous.$$"
    cp -p -- "$config" "$config.new.$$" # for its mode and owner
    cat -- "$new" >"$config.new.$$"
    mv -f -- "$config.previous.$$" "$config.previous"
    mv -f -- "$config.new.$$" "$config"
    printf '%s is new; the one before is %s.previous\n' "$config" "$config"
    changed=true
fi
answer=$(printf '{"changed": %s}' "$changed")
if [ -n "${WTS_OUTPUT:-}" ]; then printf '%s\n' "$answer" >"$WTS_OUTPUT"; else printf '%s\n' "$answer"; fi
