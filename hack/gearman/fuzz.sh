#!/usr/bin/env bash
# Runs every fuzz target below the given directories (default: gearman and internal), one after the other, for FUZZTIME each, with
# FUZZPROCS processes (1), and adds up time and executions.
set -euo pipefail
cd "$(dirname "$0")/../.."
time_each=${FUZZTIME:-10s}
[ $# -gt 0 ] || set -- gearman internal
log=$(mktemp)
trap 'rm -f "$log"' EXIT
targets=0
executions=0
started=$SECONDS
while IFS=: read -r file target; do
  dir=./$(dirname "$file")
  echo "== $dir $target, $time_each"
  # The fuzzer makes as many workers as GOMAXPROCS; one is enough beside other work.
  if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time_each" -parallel "${FUZZPROCS:-1}" "$dir" >"$log" 2>&1; then
    # When its time is up in the wrong moment, the fuzzer calls its own deadline a failure (there is no input to show for it).
    if grep -q 'Failing input written' "$log" || ! grep -q 'context deadline exceeded' "$log"; then
      cat "$log"
      exit 1
    fi
  fi
  last=$(grep elapsed "$log" | tail -n 1 || true)
  echo "$last"
  n=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' <<<"$last")
  executions=$((executions + ${n:-0}))
  targets=$((targets + 1))
done < <(grep -roE '^func Fuzz[A-Za-z0-9]+' --include='*_test.go' "$@" | sed 's/:func /:/' | sort)
echo "RESULT {\"fuzz_targets\":$targets,\"fuzz_seconds\":$((SECONDS - started)),\"fuzz_executions\":$executions,\"findings\":0}"
