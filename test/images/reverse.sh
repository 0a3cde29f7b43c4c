#!/bin/sh
# One job: the workload is "ID SECONDS TEXT"; it takes so long and answers with the text reversed.
# Where LEDGER_URL is set, it writes down that it started and that it ended, with the id, so that runs can be counted.
set -eu
read -r id seconds text || [ -n "$text" ] # a workload need not end with a newline
note() {
  [ -z "${LEDGER_URL-}" ] || ledger "$1" "$id" "$(hostname)/$$" "${GEARMAN_HANDLE:--}"
}
note start
sleep "$seconds"
printf '%s\n' "$text" | rev
note end
