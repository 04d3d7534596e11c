# What runs beside a script on its target: POSIX sh, nothing installed, one for each channel.
#
# It is sent as one line inside single quotes, whatever the login shell is: comments and line ends
# go (supervisor.py), so there is no single quote, no exclamation mark and no here-document here,
# and a backslash only before digits. Standard error is the channel's descriptor 4, its input 3.
# Every fork costs about a millisecond here: what a builtin can do, a builtin does.
#
# It reads the token, a line that is never in argv, and then commands, each a line that begins with
# the token (what a script left of its input is none), and what belongs to it:
#   run id name size sha256 deadline ticks variables before after stdin   (size: or "lines")
#                                     then the marker, the variables (NAME=value), the words before
#                                     and after the script (each a value), its bytes; when it has
#                                     begun its input and a line end
#   attach id age stdout stderr       then the marker and attach.sh: what a supervisor began so many
#                                     seconds ago, from these offsets on
#   stop id ticks                     then the marker: end its whole tree, say if any is left
#   drain id                          stop waiting for who keeps the streams open
#   ack                               the result has been written down: it need not be kept
# and answers with records: a byte 036, the token, words, a line end.
#
# What a script prints is kept in a file and goes on to a relay, which alone may be held up by the
# connection. A file beside the folders, the guard, names an attempt for whoever asks later.

exec 3<&0 4>&2 </dev/null 2>/dev/null
trap "" HUP PIPE INT
IFS= read -r token <&3 || exit 1
d= kept= marks= mine= n=0 p= nl= old= patrol= boot= born= theirs=
cap=67108864
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

# The end: nothing stays, but for a result that nobody has written down.
leave() {
  [ -z "$patrol" ] || { read -r s <"$d/patrol" && kill "$s"; kill "$patrol"; }
  IFS=:
  if [ "$d" ] && [ -z "$kept" ]; then
    cd / && exec rm -rf "$d" $marks
  fi
  [ -z "$marks" ] || exec rm -f $marks
  exit
}

refuse() {
  record refused "$@"
  leave
}

# Results that nobody has received are kept for a week; one supervisor in 16 looks for them.
forget() {
  exec find "$b" /tmp -maxdepth 1 "(" -name "wtsflow-$any" -o -name "wtsflow-$any.d" ")"     -mtime +7 -prune -exec rm -rf "{}" +
}

# When a process began, in ticks since the machine did; empty where nobody says.
birth() {
  born= state=
  read -r l <"/proc/$1/stat" || return 0
  set -- ${l##*) }
  state=$1 born=${20}
}

# Whether a process is there, and not only because nobody asked how it ended.
alive() {
  kill -0 "$1" && birth "$1" && [ "$state" != Z ]
}

# Which boot of the machine, or of the container, this is.
booted() {
  [ -z "$boot" ] || return
  read -r boot </proc/sys/kernel/random/boot_id || boot=$(sysctl -n kern.bootsessionuuid)
  birth 1
  init=$born
  boot=${boot:--}:$init
}

# A folder of our own, where a logout removes nothing, and another where one is full.
settle() {
  for b in "$TMPDIR" /tmp /var/tmp /dev/shm "$XDG_RUNTIME_DIR"; do
    if [ "$b" ] && [ -d "$b" ] && [ -w "$b" ]; then
      if mkdir -m 700 "$b/wtsflow-$1.d" "$b/wtsflow-$1.d/bin"; then
        d=$b/wtsflow-$1.d
        if mkfifo "$d/o" "$d/e" "$d/ro" "$d/re" && echo >"$d/job"; then
          if [ "$(($$%16))" = 0 ]; then
            for f in "$b"/wtsflow-*.d; do
              [ "$f" = "$d" ] || old=1
            done
            if [ "$old" ]; then forget & fi
          fi
          relay
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

# What may be held up by the connection are these two, and nobody else.
relay() {
  cat <"$d/ro" 3<&- 4>&- &
  r=$!
  cat <"$d/re" >&4 3<&- 4>&- &
  q=$!
  booted
  birth $$
  echo "$$ ${born:--}" >"$d/self"
  patrol </dev/null 3<&- &
  patrol=$!
  exec >"$d/ro" 4>"$d/re"
}

# Takes an attempt: who writes its guard may run it, once. A guard outlives no reboot unnoticed.
claim() {
  booted
  set -C
  for g in /tmp /var/tmp /dev/shm "${b:-/tmp}"; do
    if { echo "$2 $boot $3" >"$g/wtsflow-$1"; }; then
      set +C
      return
    fi
    if [ -e "$g/wtsflow-$1" ]; then
      set +C
      return 1
    fi
  done
  set +C
  return 2
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

# The same for long deadlines (0: none): one for all tasks, late by two of its rounds at most. It
# outlives a supervisor that was killed, for as long as the task runs. And it holds the connection
# itself: when the relays are held up, it ends them, so that the task goes on.
patrol() {
  k=0 seen= beat= severed=
  exec 5>"$d/ro" 6>"$d/re"
  while :; do
    sleep 5 >/dev/null 4>&- 5>&- 6>&- &
    echo $! >"$d/patrol"
    wait $! || exit
    n= p= deadline=0
    { read -r n deadline ticks p; IFS= read -r m; } <"$d/job"
    [ "$n" = "$seen" ] || k=0 seen=$n
    k=$((k+1))
    [ "$((k%720))" -gt 0 ] || touch "$d"
    alive $$ || { [ "$p" ] && alive "$p" && [ ! -e "$d/late$n" ]; } || exit
    [ "$severed" ] || pulse
    [ "$deadline" = 0 ] || [ "$((k*5-5))" -lt "$deadline" ] || [ -e "$d/late$n" ] || overdue
  done
}

# A beat that has not come through within a round, a relay that is gone, or somebody else who reads
# now: the first reader is told to ask for the rest, as soon as it listens. What goes beyond what is
# kept waits for the reader.
pulse() {
  if [ ! -e "$d/cut" ] && alive "$r" && alive "$q"; then
    [ "$n" ] || { beat=; return; }
    if [ -z "$beat" ] || [ -s "$d/beat" ]; then
      printf "" >"$d/beat"
      beaten &
      beat=$!
      return
    fi
    for f in "$d/out" "$d/err"; do
      [ "$(wc -c <"$f")" -lt "$cap" ] || return
    done
  fi
  severed=1
  printf "" >"$d/cut"
  kill -KILL $beat "$r" "$q"
  severed &
}

beaten() {
  printf "\036%s beat\012" "$token" >&5
  printf "\036%s beat\012" "$token" >&6
  echo >"$d/beat"
}

severed() {
  printf "\036%s cut\012" "$token"
  record cut
}

# To the file, to the relay while there is one, and to nowhere: so it always goes on reading.
keep() {
  trap "" TERM PIPE HUP INT XFSZ
  x=131072
  case $BASH_VERSION,$SHELLOPTS in
    ,*|*posix*)
      ;;
    *)
      x=65536 ;;
  esac
  ulimit -f "$x"
  exec tee "$1" /dev/null
}

# The input, whose end is only shown to the script when all of it has come: a script that was given
# a part of it is ended.
feed() {
  for h in /proc/self/task/*; do h=${h##*/}; done
  [ "$h" != "*" ] || h=$(sh -c "$(printf "echo \044PPID")")
  head -c "$stdin" <&3 &
  echo "$h $!" >"$d/head"
  wait $! || { echo . >"$d/head"; exit; }
  if IFS= read -r l <&3; then
    echo . >"$d/head"
    exit
  fi
  echo . >"$d/head"
  printf "" >"$d/short$n"
  until read -r x p t <"$d/pids" && [ "$x" = "$n" ]; do nap; done
  reap "$ticks"
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
  n=$((n+1)) p= s= itself=
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
  if [ "$size" = lines ]; then
    lines >"$script"
  else
    head -c "$size" <&3 >"$script"
  fi || refuse place
  found=$($hash <"$script")
  [ "${found%% *}" = "$sum" ] || refuse sum "${found%% *}"
  [ -z "$itself" ] || chmod 700 "$script"
  printf "" >"$d/output" >"$d/out" >"$d/err"
  claim "$id" "$n" "$d"
  case $? in
    1)
      refuse again ;;
    2)
      refuse place ;;
  esac
  mine=$g/wtsflow-$id kept=1
  record go
  printf "\036%s go\012" "$token"
  keep "$d/out" <"$d/o" 3<&- 4>&- &
  t=$!
  keep "$d/err" <"$d/e" >&4 3<&- 4>&- &
  u=$!
  if [ "$stdin" -gt 0 ]; then
    echo . >"$d/head"
    feed 4>&- | launch "$variables" "$@" &
  else
    launch "$variables" "$@" </dev/null &
  fi
  p=$! limit=$deadline
  if [ "$deadline" -lt 60 ]; then
    watch </dev/null >/dev/null 3<&- 4>&- &
    limit=0
  fi
  printf "%s %s %s %s\012%s\012" "$n" "$limit" "$ticks" "$p" "$m" >"$d/job"
  echo "$n $p $t $u" >"$d/pids"
  wait "$p"
  code=$?
  while [ "$code" -gt 128 ] && kill -0 "$p"; do
    wait "$p"
    code=$?
  done
  [ "$stdin" = 0 ] || { read -r h f <"$d/head" && [ "$f" ] && kill -KILL "$h" "$f"; }
  echo >"$d/job"
  late=0 stop= k=0
  if [ "$deadline" -lt 60 ]; then
    while [ "$k" -lt 99999 ] && [ -z "$s" ]; do
      k=$((k+1))
      [ -s "$d/sleep$n" ] && read -r s <"$d/sleep$n"
    done
    [ -e "$d/late$n" ] || kill "$s"
  fi
  if [ -e "$d/late$n" ]; then
    late=1
    until [ -s "$d/late$n" ]; do nap; done
    read -r stop <"$d/late$n"
  fi
  echo "$n $code $late ${stop:--}" >"$d/code"
  record exit "$code" "$late" "${stop:--}"
  wait "$t"
  x=$?
  wait "$u" && [ "$x" = 0 ] || renew
  p=
  echo "$n" >"$d/done"
  printf "\036%s end\012" "$token"
  results "$d"
  record end
}

# Somebody still has the old streams: what he writes is not for the next task.
renew() {
  rm -f "$d/o" "$d/e"
  mkfifo "$d/o" "$d/e"
}

results() {
  if [ -s "$1/output" ]; then
    record output
    head -c 1048577 "$1/output" >&4
  fi
}

# Where another attempt, perhaps another channel, keeps what it knows: only what is our account's.
reach() {
  home= turn= when= guard=
  for c in /tmp /var/tmp /dev/shm "$TMPDIR" "$XDG_RUNTIME_DIR"; do
    if [ "$c" ] && [ -z "$guard" ] && [ -f "$c/wtsflow-$1" ]; then
      guard=$c/wtsflow-$1
      [ -O "$guard" ] && read -r turn when home <"$guard"
    fi
  done
  [ "$guard" ]
}

# The processes of the task that the guard names: the script, and who reads its streams.
among() {
  read -r x p t u <"$home/pids" && [ "$x" = "$turn" ] || { p=; return 1; }
}

# Ends who reads a stream, if it is still that process.
ends() {
  l=tee.$home
  [ ! -d /proc/self ] || { l=; read -r l <"/proc/$1/cmdline"; }
  case $l in
    tee*"$home"*)
      kill -KILL "$1" ;;
  esac
  :
}

record hello
printf "\036%s hello\012" "$token"
while read -r x verb a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 <&3; do
  [ "$x" = "$token" ] || verb=
  case $verb in
    run)
      run "$a1" "$a2" "$a3" "$a4" "$a5" "$a6" "$a7" "$a8" "$a9" "$a10" ;;
    stop)
      value
      m=$v p=
      reach "$a1" && among
      reap "$a2"
      p=
      record stopped "$stop" ;;
    drain)
      x=
      reach "$a1" && read -r x <"$home/done"
      [ "$x" = "$turn" ] || { among && ends "$t" && ends "$u"; }
      p=
      record drained ;;
    attach)
      value
      m=$v
      value
      eval "$v"
      attach "$a1" "$a2" "$a3" "$a4" ;;
    ack)
      if [ "$theirs" ]; then
        reach "$theirs" && rm -rf "$home" "$guard"
        theirs=
      else
        kept= marks=${marks:+$marks:}$mine
        [ ! -e "$d/cut" ] || leave
      fi ;;
  esac
done
leave
