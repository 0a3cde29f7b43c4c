#!/bin/sh
# One job: the workload is "ID SECONDS TEXT"; it takes so long and answers with the text reversed.
# Where LEDGER_URL is set, it writes down that it started and that it ended, with the id, so that runs can be counted.
set -eu
read -r id seconds text
note() {
  [ -n "${LEDGER_URL-}" ] || return 0
  wget -q -T 10 -O /dev/null --post-data "$1 $id $(hostname) ${GEARMAN_HANDLE-}" "$LEDGER_URL"
}
note start
sleep "$seconds"
printf '%s\n' "$text" | rev
note end
