#!/usr/bin/env bash
# demo.sh ARCHIVE: packs (as gearman-demo:$TAG, by default demo) Debian's busybox (a shell and its tools in one static file), the demo's job and the ledger that its runs are
# written to.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
archive=${1:?name the archive to write}
tools=(cat date env head hostname kill ls nc printf ps rev sed seq sh sleep tail test true wc wget)

b=$(busybox)
ledger=$(dirname "$archive")/bin/ledger
(cd "$ROOT" && CGO_ENABLED=0 GOOS=linux GOWORK="$ROOT/go.work" go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$ledger" ./test/ledger)
links=()
for t in "${tools[@]}"; do links+=("@busybox:/bin/$t"); done
pack "$archive" -name "gearman-demo:${TAG:-demo}" -entrypoint /bin/sh -env PATH=/bin "${BASE[@]}" "$b:/bin/busybox:755" "${links[@]}" -- \
  "$HERE/reverse.sh:/bin/reverse:755" "$ledger:/bin/ledger:755"
