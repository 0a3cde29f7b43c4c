# shellcheck shell=bash
# What the scripts of the local cluster share. Sourced, never run.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # used by the scripts that source this
ROOT=$(cd "$HERE/../.." && pwd) KIND_NAME=gearman-operator
# Everything that is built or written lives here, outside the tree, so that every checkout of the project shares it.
CACHE=${CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or CACHE}/.cache}/gearman-operator}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# now prints seconds since the epoch; since T prints the seconds since T with one decimal.
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

# with_lock NAME COMMAND...: two checkouts that want the same thing build it once.
with_lock() {
  local name=$1; shift
  mkdir -p "$CACHE/locks"
  (
    flock -n 9 || { say "waiting for another process that holds $CACHE/locks/$name"; flock 9; }
    "$@"
  ) 9>"$CACHE/locks/$name"
}

# wait_for SECONDS COMMAND...: polls until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

# with_progress WHAT EXPECTED COMMAND...: runs a long command and says every now and then how long it has run; its output is shown
# only where it fails. On a terminal the line is rewritten each second, in a log it is repeated each half minute.
with_progress() {
  local what=$1 expected=$2 start=$SECONDS log step=30 out
  shift 2
  log=$(mktemp)
  [ -t 2 ] && step=1
  say "$what (about $expected on two cores, once) ..."
  "$@" >"$log" 2>&1 &
  local pid=$! last=$SECONDS
  # shellcheck disable=SC2064 # the values of now are meant
  trap "kill $pid 2>/dev/null; rm -f '$log'; exit 130" INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    [ $((SECONDS - last)) -ge "$step" ] || continue
    last=$SECONDS
    out=$(tail -n 1 "$log" | cut -c 1-60)
    if [ "$step" = 1 ]; then printf '\r\033[K  %4d s  %s' $((SECONDS - start)) "$out" >&2; else say "  $((SECONDS - start)) s  $out"; fi
  done
  [ "$step" != 1 ] || printf '\r\033[K' >&2
  trap - INT TERM
  if ! wait "$pid"; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    die "$what failed after $((SECONDS - start)) s"
  fi
  rm -f "$log"
  say "$what: done in $((SECONDS - start)) s"
}
