#!/bin/sh
# gearman-worker stream --function reverse -- sh examples/shell/reverse.sh
job() {
  workload=$(mktemp)
  cat >"$workload"
  if [ ! -s "$workload" ]; then
    rm "$workload"
    printf 'nothing to reverse' >&2
    return 1
  fi
  status 1 2
  perl -0777 -e 'print scalar reverse <STDIN>' <"$workload"
  rm "$workload"
}
. "$(dirname "$0")/gearman-stream.sh"
