# shellcheck shell=sh
# Takes jobs from `gearman-worker stream` in a POSIX shell: source this file and define a function "job", which reads its workload from
# standard input, writes the result to standard output and fails the job by a status other than 0 (docs/stream.md).
#
#   job() { status 1 2; tr a-z A-Z; }
#   . ./gearman-stream.sh
#
# It needs GNU head: others read more than they are told to. For most jobs `gearman-worker exec` is the simpler way.

# number NAME HEADER: the number that a header line gives to a name.
number() { printf '%s' "$2" | sed -n 's/.*"'"$1"'":\([0-9]*\).*/\1/p'; }

# status NUMERATOR DENOMINATOR: reports the progress of the job to the client.
status() { printf '{"type":"status","id":%s,"numerator":%s,"denominator":%s}\n' "$id" "$1" "$2" >&4; }

# message TYPE FILE: sends a message with the file's bytes.
message() {
  printf '{"type":"%s","id":%s,"bytes":%s}\n' "$1" "$id" "$(($(wc -c <"$2")))" >&4
  cat "$2" >&4
}

result=$(mktemp) && error=$(mktemp) || exit 1
trap 'rm -f "$result" "$error"' EXIT

read -r hello <&3
printf '{"type":"ready","version":1}\n' >&4
while IFS= read -r header <&3; do
  id=$(number id "$header")
  case $header in
  '{"type":"ping"'*)
    printf '{"type":"pong","id":%s}\n' "$id" >&4
    continue
    ;;
  esac
  if head -c "$(number bytes "$header")" <&3 | job >"$result" 2>"$error"; then
    message complete "$result"
  else
    message fail "$error"
  fi
done
