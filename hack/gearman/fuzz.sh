#!/usr/bin/env bash
# Runs every fuzz target below gearman/, one after the other, for FUZZTIME each, and adds up the time.
set -euo pipefail
cd "$(dirname "$0")/../.."
time_each=${FUZZTIME:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
targets=0
started=$(date +%s)
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
  tail -n 3 "$log" | grep elapsed || true
  targets=$((targets + 1))
done < <(grep -rhoHE '^func Fuzz[A-Za-z0-9]+' --include='*_test.go' gearman | sed 's/:func /:/')
echo "RESULT {\"fuzz_targets\":$targets,\"fuzz_seconds\":$(($(date +%s) - started)),\"findings\":0}"
