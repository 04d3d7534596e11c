#!/bin/sh
# Say hello. A script is a plain file: try it by hand with  sh greet.sh --name you
set -eu

name=world
while [ $# -gt 0 ]; do
    case $1 in
        --name) name=${2?--name needs a value} && shift 2 ;;
        --name=*) name=${1#*=} && shift ;;
        *) printf 'greet: there is no option %s\n' "$1" >&2 && exit 2 ;;
    esac
done

printf 'Hello, %s, from %s\n' "$name" "$(uname -n)"
printf '{"greeting": "Hello, %s", "system": "%s"}\n' "$name" "$(uname -s)"
