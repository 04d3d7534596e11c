#!/bin/sh
# Thirty lines as people write them: what is this machine, and is anything wrong with it?
set -eu

say() {
  printf '%-12s %s\n' "$1" "$2"
}

say host "$(uname -n)"
say kernel "$(uname -r)"
say machine "$(uname -m)"
if [ -r /etc/os-release ]; then
  . /etc/os-release
  say system "${PRETTY_NAME:-unknown}"
else
  say system unknown
fi
read -r load _ </proc/loadavg
say load "$load"
read -r up _ </proc/uptime
say uptime "${up%.*}"

total=0
while read -r key value _; do
  case $key in
    MemTotal:) total=$value ;;
    MemAvailable:) say memory "$((100 - 100 * value / total))%" ;;
  esac
done </proc/meminfo
say shell "${SHELL:-/bin/sh}"
say marker wtsflow-facts-done
