#!/usr/bin/env bash
# demo.sh ARCHIVE: packs (as gearman-demo:$TAG, by default demo) Debian's busybox (a shell and its tools in one static file), the demo's job and the ledger that its runs are
# written to.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gearman-operator}
archive=${1:?say which archive to write}
die() { echo "error: $*" >&2; exit 1; }
tools=(cat date env head hostname kill ls nc printf ps rev sed seq sh sleep tail test true wc wget)

# busybox: prints the path of a static one, this machine's or one unpacked into the cache.
busybox() {
  local b dir=$CACHE/debian/busybox
  for b in /bin/busybox /usr/bin/busybox "$dir/bin/busybox" "$dir/usr/bin/busybox"; do
    if [ -x "$b" ] && ! ldd "$b" >/dev/null 2>&1; then echo "$b" && return; fi
  done
  command -v apt-get >/dev/null || die "please install a static busybox (this machine has no apt-get)"
  echo "fetching busybox-static ..." >&2
  mkdir -p "$dir"
  (cd "$dir" && { apt-get -qq download busybox-static >&2 || { apt-get -qq update >&2 && apt-get -qq download busybox-static >&2; }; }) ||
    die "fetching busybox-static failed"
  dpkg -x "$dir"/busybox-static_*.deb "$dir"
  for b in "$dir/bin/busybox" "$dir/usr/bin/busybox"; do [ ! -x "$b" ] || { echo "$b" && return; }; done
  die "Debian's busybox-static holds no busybox"
}

b=$(busybox)
mkdir -p "$(dirname "$archive")"
ledger=$(dirname "$archive")/bin/ledger
(cd "$ROOT" && CGO_ENABLED=0 GOOS=linux GOWORK=off go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$ledger" ./test/ledger)
links=()
for t in "${tools[@]}"; do links+=("@busybox:/bin/$t"); done
"$ROOT/hack/image/pack.sh" -output "$archive" -name "gearman-demo:${TAG:-demo}" -entrypoint /bin/sh -env PATH=/bin \
  "$ROOT/hack/image/etc/passwd:/etc/passwd" "$ROOT/hack/image/etc/group:/etc/group" :/tmp:1777 "$b:/bin/busybox:755" "${links[@]}" -- \
  "$HERE/reverse.sh:/bin/reverse:755" "$ledger:/bin/ledger:755"
