# What runs beside a script on its target: POSIX sh, nothing installed, one for each channel.
#
# It is sent as one line inside single quotes, whatever the login shell is: comments and line ends
# go (supervisor.py), so there is no single quote, no exclamation mark and no here-document here,
# and a backslash only before digits. Standard error is the channel's descriptor 4, its input 3.
# Every fork costs about a millisecond here: what a builtin can do, a builtin does.
#
# It reads commands, each a line (and what belongs to it):
#   token                             the first line: what its records begin with; never in argv
#   run id name size sha256 deadline ticks variables before after stdin   (size: or "lines")
#                                     then the marker, the variables (NAME=value), the words before
#                                     and after the script (each a value), its bytes, its input
#   stop id ticks                     then the marker: end its whole tree, say if any is left
#   drain id                          stop waiting for who keeps the streams open
#   ack                               the result has arrived: it need not be kept
# and answers with records: a byte 036, the token, words, a line end.

exec 3<&0 4>&2 </dev/null 2>/dev/null
trap "" HUP PIPE INT
IFS= read -r token <&3 || exit 1
d= kept= marks= n=0 p= nl= old= patrol=
any=????????????????????????
session=
[ -x /usr/bin/setsid ] && session=/usr/bin/setsid
[ -x /bin/setsid ] && session=/bin/setsid
path=$PATH
PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
hash=sha256sum
command -v sha256sum >/dev/null || hash="shasum -a 256"
command -v ${hash%% *} >/dev/null || hash="openssl dgst -sha256 -r"

record() {
  printf "\036%s %s\012" "$token" "$*" >&4
}

# One value of any bytes but NUL: lines after "+" go on, the line after "=" is the last.
value() {
  v=
  while IFS= read -r l <&3; do
    case $l in
      +*)
        [ "$nl" ] || { nl=$(printf "\012."); nl=${nl%.}; }
        v=$v${l#+}$nl ;;
      *)
        v=$v${l#=}
        return ;;
    esac
  done
  leave
}

# A short script that is plain text: builtins are quicker than a process.
lines() {
  while IFS= read -r l <&3; do
    case $l in
      +*)
        printf "%s\012" "${l#+}" || return ;;
      *)
        printf "%s" "${l#=}"
        return ;;
    esac
  done
  return 1
}

# The end: nothing stays, but for a result that nobody has received.
leave() {
  [ -z "$patrol" ] || { read -r s <"$d/patrol" && kill "$s"; }
  if [ "$d" ] && [ -z "$kept" ]; then
    cd "$b" && exec rm -rf "$d" $marks
  fi
  exit
}

refuse() {
  record refused "$@"
  leave
}

# Results that nobody has received are kept for a week; one supervisor in 16 looks for them.
forget() {
  exec find "$b" -maxdepth 1 "(" -name "wtsflow-$any" -o -name "wtsflow-$any.d" ")"     -mtime +7 -prune -exec rm -rf "{}" +
}

# A folder of our own: in memory before on disk, and another where one is full.
settle() {
  for b in "$XDG_RUNTIME_DIR" "$TMPDIR" /tmp /dev/shm; do
    if [ "$b" ] && [ -d "$b" ] && [ -w "$b" ]; then
      if mkdir -m 700 "$b/wtsflow-$1.d" "$b/wtsflow-$1.d/bin"; then
        d=$b/wtsflow-$1.d
        if mkfifo "$d/o" "$d/e" && echo . >"$d/pids"; then
          for f in "$b"/wtsflow-*.d; do
            [ "$f" = "$d" ] || old=1
          done
          if [ "$old" ] && [ "$(($$%16))" = 0 ]; then forget & fi
          return
        fi
        rm -rf "$d"
      elif [ -e "$b/wtsflow-$1.d" ]; then
        d=
        refuse again
      fi
    fi
  done
  d=
  refuse place
}

# Processes of the task: by the marker in their environment, and by their session.
tasks() {
  left=
  for f in $(grep -lszxF -e "WTS_TASK=$m" /proc/[0-9]*/environ); do
    f=${f#/proc/}
    left="$left ${f%/environ}"
  done
  if [ "$session" ] && [ "$p" ]; then
    for f in /proc/[0-9]*/stat; do
      read -r l <"$f" || continue
      set -- ${l##*) }
      case $1 in
        Z|X) ;;
        *)
          if [ "$4" = "$p" ]; then
            f=${f#/proc/}
            left="$left ${f%/stat}"
          fi ;;
      esac
    done
  fi
}

nap() {
  sleep 0.2 || sleep 1
}

# TERM, the grace in ticks of 0.2 s, KILL until nothing is found twice; the answer is in $stop.
reap() {
  stop=unconfirmed
  if [ "$session" ] && [ "$p" ]; then kill -TERM -- "-$p"; fi
  tasks
  [ -z "$left" ] || kill -TERM $left
  k=0
  while [ "$left" ] && [ "$k" -lt "$1" ]; do
    nap
    k=$((k+1))
    tasks
  done
  k=0 clean=0
  while [ "$k" -lt 20 ] && [ "$clean" -lt 2 ]; do
    k=$((k+1))
    tasks
    if [ "$left" ]; then
      kill -KILL $left
      clean=0
      nap
    else
      clean=$((clean+1))
    fi
  done
  [ "$clean" -lt 2 ] || [ -z "$(printf x | grep -zxF x)" ] || stop=confirmed
}

# Ends the task when its time is over, also when nobody listens any more. A sleep is known by a
# file, for a signal could come before a trap is set.
watch() {
  sleep "$deadline" &
  echo $! >"$d/sleep$n"
  wait $! || exit
  overdue
}

overdue() {
  printf "" >"$d/late$n"
  reap "$ticks"
  echo "$stop" >"$d/late$n"
}

# The same for long deadlines: one for all tasks, late by two of its rounds at most.
patrol() {
  k=0 seen=
  while :; do
    sleep 10 &
    echo $! >"$d/patrol"
    wait $! || exit
    n=
    { read -r n deadline ticks p; IFS= read -r m; } <"$d/job" || kill -0 $$ || exit
    [ "$n" = "$seen" ] || k=0 seen=$n
    k=$((k+1))
    [ -z "$n" ] || [ "$((k*10-10))" -lt "$deadline" ] || [ -e "$d/late$n" ] || overdue
  done
}

keep() {
  trap "" TERM PIPE HUP INT XFSZ
  ulimit -f 32768
  exec tee "$1"
}

launch() {
  trap - HUP PIPE INT TERM
  PATH=$path
  exec >"$d/o" 2>"$d/e" 3<&- 4>&-
  x=$1
  shift
  while [ "$x" -gt 0 ]; do
    export "$1"
    shift
    x=$((x-1))
  done
  export "WTS_TASK=$m" "WTS_OUTPUT=$d/output"
  exec $session "$@"
}

run() {
  id=$1 script=$2 size=$3 sum=$4 deadline=$5 ticks=$6 variables=$7 before=$8 after=$9 stdin=${10}
  n=$((n+1)) p= s= kept= itself=
  [ "$before" -gt "$variables" ] || itself=1
  value
  m=$v
  [ "$d" ] || settle "$id"
  script=$d/bin/$script
  set --
  while [ "$before" -gt 0 ]; do
    value
    set -- "$@" "$v"
    before=$((before-1))
  done
  set -- "$@" "$script"
  while [ "$after" -gt 0 ]; do
    value
    set -- "$@" "$v"
    after=$((after-1))
  done
  set -C
  { echo "$d" >"$b/wtsflow-$id"; } || refuse again
  set +C
  marks="$marks wtsflow-$id"
  if [ "$size" = lines ]; then
    lines >"$script"
  else
    head -c "$size" <&3 >"$script"
  fi || refuse place
  found=$($hash <"$script")
  [ "${found%% *}" = "$sum" ] || refuse sum "${found%% *}"
  [ -z "$itself" ] || chmod 700 "$script"
  printf "" >"$d/output"
  record go
  printf "\036%s go\012" "$token"
  keep "$d/out" <"$d/o" 3<&- 4>&- &
  t=$!
  keep "$d/err" <"$d/e" >&4 3<&- 4>&- &
  u=$!
  if [ "$stdin" -gt 0 ]; then
    head -c "$stdin" <&3 | launch "$variables" "$@" &
  else
    launch "$variables" "$@" </dev/null &
  fi
  p=$!
  kept=1
  if [ "$deadline" -lt 60 ]; then
    watch </dev/null >/dev/null 3<&- 4>&- &
  else
    printf "%s %s %s %s\012%s\012" "$n" "$deadline" "$ticks" "$p" "$m" >"$d/job"
    if [ -z "$patrol" ]; then
      patrol </dev/null >/dev/null 3<&- 4>&- &
      patrol=$!
    fi
  fi
  echo "$p $t $u" >"$d/pids"
  wait "$p"
  code=$?
  while [ "$code" -gt 128 ] && kill -0 "$p"; do
    wait "$p"
    code=$?
  done
  late=0 stop= k=0
  if [ "$deadline" -lt 60 ]; then
    while [ "$k" -lt 99999 ] && [ -z "$s" ]; do
      k=$((k+1))
      [ -s "$d/sleep$n" ] && read -r s <"$d/sleep$n"
    done
    [ -e "$d/late$n" ] || kill "$s"
  else
    echo >"$d/job"
  fi
  if [ -e "$d/late$n" ]; then
    late=1
    until [ -s "$d/late$n" ]; do nap; done
    read -r stop <"$d/late$n"
  fi
  echo "$code" >"$d/code"
  record exit "$code" "$late" "${stop:--}"
  wait "$t" "$u"
  p=
  printf "\036%s end\012" "$token"
  if [ -s "$d/output" ]; then
    record output
    head -c 1048577 "$d/output" >&4
  fi
  record end
}

# Where another attempt, perhaps another channel, keeps what it knows.
reach() {
  f=
  for c in "$XDG_RUNTIME_DIR" "$TMPDIR" /tmp /dev/shm; do
    [ -z "$c" ] || [ "$f" ] || read -r f <"$c/wtsflow-$1"
  done
  [ "$f" ] && read -r p t u <"$f/pids"
}

record hello
printf "\036%s hello\012" "$token"
while read -r verb a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 <&3; do
  case $verb in
    run)
      run "$a1" "$a2" "$a3" "$a4" "$a5" "$a6" "$a7" "$a8" "$a9" "$a10" ;;
    stop)
      value
      m=$v p=
      reach "$a1"
      reap "$a2"
      p=
      record stopped "$stop" ;;
    drain)
      p=
      reach "$a1" && kill -KILL "$t" "$u"
      p=
      record drained ;;
    *ack)
      kept= ;;
  esac
done
leave
