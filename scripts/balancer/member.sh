#!/bin/sh
# Put a server into a balancer's pool, or take it out, one change at a time.
#
# The pool is a text file with one line for each server: its name and `enabled` or `drained`.
# --state known     add the server as enabled if the pool does not list it; else change nothing
# --state drained   no new connections; refused when fewer than --least would stay enabled
# --state enabled   back in the pool
#
# A relative path is below the home folder. The file is replaced whole, under a lock, so that two
# runs at once do not lose a change. POSIX sh.
set -eu
LC_ALL=C
export LC_ALL

die() {
    printf 'member: %s\n' "$1" >&2
    exit "${2:-1}"
}

pool='' server='' state='' least=1
while [ $# -gt 0 ]; do
    case $1 in
        --*=*)
            option=${1%%=*} value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            continue
            ;;
        --pool) pool=${2?--pool needs a value} ;;
        --server) server=${2?--server needs a value} ;;
        --state) state=${2?--state needs a value} ;;
        --least) least=${2?--least needs a value} ;;
        *) die "there is no option '$1'" 2 ;;
    esac
    shift 2
done
case $pool in '') die 'which --pool?' 2 ;; /*) ;; *) pool=$HOME/$pool ;; esac
case $server in '' | *[!A-Za-z0-9._-]*) die "'$server' is not a server's name" 2 ;; esac
case $state in known | drained | enabled) ;; *) die "'$state' is not known, drained or enabled" 2 ;; esac
case $least in '' | *[!0-9]*) die "'$least' is not a number" 2 ;; esac

folder=$(dirname -- "$pool")
[ "$state" != known ] || mkdir -p -- "$folder"
[ -d "$folder" ] || die "there is no folder $folder"

lock=$pool.lock
tries=0
until mkdir -- "$lock" 2>/dev/null; do
    holder=$(cat -- "$lock/pid" 2>/dev/null) || holder=''
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
        rm -f -- "$lock/pid" # its holder died; whoever comes first takes it over
        rmdir -- "$lock" 2>/dev/null || :
        continue
    fi
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || die "$lock is held by process ${holder:-?} for too long"
    sleep 0.1 2>/dev/null || sleep 1
done
new=$pool.new.$$
trap 'rm -f -- "$new" "$lock/pid"; rmdir -- "$lock" 2>/dev/null || :' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP
printf '%s\n' "$$" >"$lock/pid"

[ -e "$pool" ] || {
    [ "$state" = known ] || die "there is no pool $pool"
    : >"$pool"
}
before=$(awk -v s="$server" '$1 == s { print $2; exit }' "$pool")
enabled_without=$(awk -v s="$server" '$1 != s && $2 == "enabled"' "$pool" | wc -l | tr -d ' ')

after=$state
[ "$state" != known ] || after=${before:-enabled}
if [ -z "$before" ] && [ "$state" != known ]; then
    die "the pool does not list $server"
fi
if [ "$after" = drained ] && [ "$before" != drained ] && [ "$enabled_without" -lt "$least" ]; then
    die "$server stays: without it $enabled_without would be enabled, fewer than $least"
fi
changed=false
if [ "$before" != "$after" ]; then
    awk -v s="$server" -v state="$after" '
        $1 == s { print s, state; found = 1; next }
        { print }
        END { if (!found) print s, state }
    ' "$pool" >"$new"
    mv -f -- "$new" "$pool"
    changed=true
fi
enabled=$(awk '$2 == "enabled"' "$pool" | wc -l | tr -d ' ')
printf '%s is %s (%s enabled)\n' "$server" "$after" "$enabled"
answer=$(printf '{"state": "%s", "changed": %s, "enabled": %s}' "$after" "$changed" "$enabled")
if [ -n "${WTS_OUTPUT:-}" ]; then printf '%s\n' "$answer" >"$WTS_OUTPUT"; else printf '%s\n' "$answer"; fi
