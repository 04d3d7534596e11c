# What the supervisor (supervisor.sh, whose words these are) learns when it is asked for what another
# channel began: the functions of its command "attach". The same rules hold as there.

# Whether the supervisor of a task lives: the process of its number, if that is as old.
lives() {
  read -r x y <"$home/self" && alive "$x" && [ "${born:--}" = "$y" ]
}

# How many seconds this machine, or this container, has been up.
age() {
  if read -r up x </proc/uptime; then
    up=${up%%.*}
    [ -z "$init" ] || up=$((up-init/100))
  else
    set -- $(sysctl -n kern.boottime)
    up=${4%,}
    up=$(($(date +%s)-${up:-$(date +%s)}))
  fi
}

# Nothing is known here: then it never began, and never will, or it was long ago.
unknown() {
  booted
  age
  if [ "$1" -gt 518400 ]; then
    record refused gone old
  elif [ "$up" -le "$1" ]; then
    record refused gone boot
  elif claim "$2" 0 -; then
    record refused never
  elif [ "$?" = 1 ]; then
    attach "$2" "$1" "$3" "$4"
  else
    record refused place
  fi
}

# What a supervisor of another channel began, running or ended.
attach() {
  if ! reach "$1"; then
    unknown "$2" "$1" "$3" "$4"
    return
  fi
  booted
  if [ "$home" = - ]; then
    record refused never
  elif [ ! -O "$guard" ]; then
    record refused gone owner
  elif [ ! -O "$home/self" ]; then
    record refused gone folder
  elif [ "$boot" = "$when" ] || over; then
    printf "" >"$home/cut"
    theirs=$1
    follow "$3" "$4"
  else
    record refused gone boot
  fi
}

# Whether the code of the task that the guard names is known.
over() {
  x= code=
  read -r x code late stop <"$home/code" && [ "$x" = "$turn" ] && [ "$stop" ]
}

# Prints what was kept from the offsets on, and goes on to until the end is known. The descriptors
# are shared with who reads them, so that nothing is printed twice.
follow() {
  record go
  printf "\036%s go\012" "$token"
  exec 7<"$home/out" 8<"$home/err"
  told= last= gone= first=1 k=0
  while [ -z "$last" ]; do
    lives || gone=1
    if [ -z "$told" ] && over; then
      told=1
      record exit "$code" "$late" "$stop"
    fi
    x=
    if [ "$told" ]; then
      read -r x <"$home/done"
      [ "$x" != "$turn" ] && [ -z "$gone" ] || last=1
    else
      last=$gone
    fi
    if [ "$first" ]; then
      tail -c "+$(($1+1))" <&7 && tail -c "+$(($2+1))" <&8 >&4 || leave
    else
      cat <&7 && cat <&8 >&4 || leave
    fi
    first=
    k=$((k+1))
    [ "$((k%8))" -gt 0 ] || record beat || leave
    if [ -z "$last" ]; then
      if [ "$told" ] || [ "$k" -lt 50 ]; then nap; else sleep 1; fi
    fi
  done
  exec 7<&- 8<&-
  ending
}

ending() {
  for f in out err; do
    [ "$(wc -c <"$home/$f")" -lt "$cap" ] || record lost "$f"
  done
  if [ -z "$told" ]; then
    among
    tasks
    p=
    set -- $left
    record gone dead $#
  elif [ -e "$home/short$turn" ]; then
    record gone input
  else
    printf "\036%s end\012" "$token"
    results "$home"
    record end
  fi
}
